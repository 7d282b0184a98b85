package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** The tables of tasks on a real PostgreSQL. */
class PostgresTablesTest extends TablesContract {
  @Override
  TestServer startServer() {
    return new PostgresServer();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.DatabaseContract;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** The contract of tables on a real PostgreSQL. */
class PostgresTest extends DatabaseContract {
  @Override
  protected TestServer startServer() {
    return new PostgresServer();
  }
}

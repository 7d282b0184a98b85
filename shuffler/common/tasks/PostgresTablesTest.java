package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;

/** The tables of tasks on a real PostgreSQL. */
class PostgresTablesTest extends TablesContract {
  PostgresTablesTest() {
    super(new PostgresServer());
  }
}

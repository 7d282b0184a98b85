package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.DatabaseContract;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;

/** The contract of tables on a real PostgreSQL. */
class PostgresTest extends DatabaseContract<PostgresServer> {
  PostgresTest() {
    super(new PostgresServer());
  }
}

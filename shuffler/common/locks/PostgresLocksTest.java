package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** The locks on a real PostgreSQL. */
class PostgresLocksTest extends LocksContract {
  @Override
  TestServer startServer() {
    return new PostgresServer();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;

/** The locks on a real PostgreSQL. */
class PostgresLocksTest extends LocksContract {
  PostgresLocksTest() {
    super(new PostgresServer());
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;

/** Random walks on a real PostgreSQL. */
class PostgresRandomWalkTest extends CollectorWalks {
  PostgresRandomWalkTest() {
    super(new PostgresServer(), 6);
  }
}

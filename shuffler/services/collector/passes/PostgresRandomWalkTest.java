package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** Random walks on a real PostgreSQL. */
class PostgresRandomWalkTest extends RandomWalks {
  PostgresRandomWalkTest() {
    super(6);
  }

  @Override
  TestServer startServer() {
    return new PostgresServer();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** Random walks on a real PostgreSQL. */
class PostgresRandomWalkTest extends RandomWalks {
  PostgresRandomWalkTest() {
    super(4);
  }

  @Override
  TestServer startServer() {
    return new PostgresServer();
  }
}

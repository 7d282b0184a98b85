package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;

/** Random walks on a real PostgreSQL. */
class PostgresRandomWalkTest extends SchedulerWalks {
  PostgresRandomWalkTest() {
    super(new PostgresServer(), 4);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;

/** Random walks on a server that speaks Spanner's protocol. */
class SpannerRandomWalkTest extends SchedulerWalks {
  SpannerRandomWalkTest() {
    super(new SpannerServer(), 2);
  }
}

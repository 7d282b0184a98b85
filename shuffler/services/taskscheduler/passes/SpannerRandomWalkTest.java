package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** Random walks on a server that speaks Spanner's protocol. */
class SpannerRandomWalkTest extends RandomWalks {
  SpannerRandomWalkTest() {
    super(2);
  }

  @Override
  TestServer startServer() {
    return new SpannerServer();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;

/** Random walks on a server that speaks Spanner's protocol. */
class SpannerRandomWalkTest extends CollectorWalks {
  SpannerRandomWalkTest() {
    super(new SpannerServer(), 2);
  }
}

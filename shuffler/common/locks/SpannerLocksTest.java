package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;

/** The locks on a server that speaks Spanner's protocol. */
class SpannerLocksTest extends LocksContract {
  SpannerLocksTest() {
    super(new SpannerServer());
  }
}

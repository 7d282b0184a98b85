package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** The locks on a server that speaks Spanner's protocol. */
class SpannerLocksTest extends LocksContract {
  @Override
  TestServer startServer() {
    return new SpannerServer();
  }
}

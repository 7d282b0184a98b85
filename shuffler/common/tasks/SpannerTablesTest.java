package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;

/** The tables of tasks on a server that speaks Spanner's protocol. */
class SpannerTablesTest extends TablesContract {
  @Override
  TestServer startServer() {
    return new SpannerServer();
  }
}

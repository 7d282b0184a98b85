package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;

/** The tables of tasks on a server that speaks Spanner's protocol. */
class SpannerTablesTest extends TablesContract {
  SpannerTablesTest() {
    super(new SpannerServer());
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.Spanner;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.SpannerErrors;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.core.instrument.MeterRegistry;

/** A database of the profile {@code gcp}: in Spanner. Its schema is made by who sets it up. */
final class CloudDatabase implements AutoCloseable {
  private final HikariDataSource source;
  private final Database database;

  CloudDatabase(OptionValues fcp, Option<String> instance, Option<String> name, MeterRegistry meters) {
    source = Spanner.connect(
        fcp.get(FcpOptions.PROJECT_ID).orElseThrow(), fcp.get(instance).orElseThrow(), fcp.get(name).orElseThrow());
    source.setMetricRegistry(meters);
    database = new Database(source, new SpannerErrors());
  }

  Database database() {
    return database;
  }

  /** Whether the database can be asked. */
  BoundedCheck readiness(String what) {
    return new BoundedCheck(what, () -> database.query(client -> client.sql("SELECT 1").query(Long.class).single()));
  }

  @Override
  public void close() {
    source.close();
  }
}

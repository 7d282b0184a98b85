package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Postgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.core.instrument.MeterRegistry;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.sql.DataSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A database of the profile {@code local}, whose schema is brought up to date as soon as the server answers: services and server may start
 * in any order.
 */
final class LocalDatabase implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(LocalDatabase.class);
  private static final long RETRY_SECONDS = 1;

  // Any number, the same for all services.
  private static final long SCHEMA_LOCK = 7_135_092_846L;

  private final HikariDataSource source;
  private final CountDownLatch stop = new CountDownLatch(1);
  private volatile boolean migrated;

  /** Connects, and brings SCHEMAS up to date, when the server answers. */
  LocalDatabase(OptionValues local, Option<String> url, List<Schema> schemas, MeterRegistry meters) {
    source = Postgres.connect(
        local.get(url).orElseThrow(),
        local.get(LocalOptions.DATABASE_USER).orElseThrow(),
        local.get(LocalOptions.DATABASE_PASSWORD).orElseThrow());
    source.setMetricRegistry(meters);
    Thread thread = new Thread(() -> migrate(schemas), "schema");
    thread.setDaemon(true);
    thread.start();
  }

  DataSource source() {
    return source;
  }

  /** Whether the tables are there and can be asked. */
  BoundedCheck readiness(String name) {
    return new BoundedCheck(name, this::check);
  }

  void check() {
    if (!migrated) {
      throw new IllegalStateException("its schema is not up to date yet");
    }
    new Database(source).query(client -> client.sql("SELECT 1").query(Long.class).single());
  }

  private void migrate(List<Schema> schemas) {
    String told = "";
    do {
      try {
        migrateAlone(schemas);
        migrated = true;
        LOG.info("the schema is up to date");
        return;
      } catch (RuntimeException | SQLException problem) {
        // Not the same line every second.
        String why = String.valueOf(problem.getMessage()).replaceAll("\\s+", " ");
        if (!why.equals(told)) {
          LOG.warn("{}; trying again", why);
        }
        told = why;
      }
    } while (!stopped());
  }

  /**
   * Liquibase's own lock is a row, which a service that is killed leaves behind for ever. PostgreSQL's goes away with the connection; who
   * has that may remove the other.
   */
  private void migrateAlone(List<Schema> schemas) throws SQLException {
    try (Connection connection = source.getConnection(); Statement statement = connection.createStatement()) {
      statement.execute("SELECT pg_advisory_lock(" + SCHEMA_LOCK + ")");
      try {
        statement.execute("DROP TABLE IF EXISTS databasechangeloglock");
        schemas.forEach(schema -> schema.migrate(source));
      } finally {
        statement.execute("SELECT pg_advisory_unlock(" + SCHEMA_LOCK + ")");
      }
    }
  }

  private boolean stopped() {
    try {
      return stop.await(RETRY_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException stopped) {
      return true;
    }
  }

  @Override
  public void close() {
    stop.countDown();
    source.close();
  }
}

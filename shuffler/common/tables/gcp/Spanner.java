package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.time.Duration;

/** Connections to a Spanner database with the PostgreSQL dialect: what the profile {@code gcp} uses. */
public final class Spanner {
  // As Postgres has them.
  private static final int CONNECTIONS = 16;
  private static final Duration WAIT = Duration.ofSeconds(10);
  private static final Duration STATEMENT = Duration.ofSeconds(30);

  private Spanner() {}

  /**
   * Makes a pool; it connects when a connection is first needed, with the credentials of the machine (Google's application default).
   *
   * @param project the Google Cloud project
   * @param instance the Spanner instance
   * @param database the database
   */
  public static HikariDataSource connect(String project, String instance, String database) {
    return connect("/projects/" + project + "/instances/" + instance + "/databases/" + database, STATEMENT);
  }

  /**
   * The same, to any server.
   *
   * @param address what follows {@code jdbc:cloudspanner:} in a JDBC address
   * @param statement how long a statement may take, and a commit
   */
  public static HikariDataSource connect(String address, Duration statement) {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl("jdbc:cloudspanner:" + address);
    config.setMaximumPoolSize(CONNECTIONS);
    config.setConnectionTimeout(WAIT.toMillis());
    config.setInitializationFailTimeout(-1);
    // Database runs the whole work again. The driver would repeat the statements and compare checksums of what it read, and give up at the
    // first difference: exactly where two devices met.
    config.addDataSourceProperty("retryAbortsInternally", "false");
    // All go through one multiplexed session; others would be made and kept for nothing.
    config.addDataSourceProperty("minSessions", "0");
    config.addDataSourceProperty("maxSessions", "1");
    config.setConnectionInitSql("SET STATEMENT_TIMEOUT = '" + statement.toMillis() + "ms'");
    return new HikariDataSource(config);
  }
}

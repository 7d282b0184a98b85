package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.time.Duration;

/** Connections to a PostgreSQL server: what the profile {@code local} uses. */
public final class Postgres {
  // Requests wait for a connection rather than the server for memory; and not longer than a device waits for its answer.
  private static final int CONNECTIONS = 16;
  private static final Duration WAIT = Duration.ofSeconds(10);
  private static final Duration STATEMENT = Duration.ofSeconds(30);

  private Postgres() {}

  /**
   * Makes a pool; it connects when a connection is first needed.
   *
   * @param url such as {@code jdbc:postgresql://localhost:5432/tasks}
   * @param user of the database
   * @param password of that user; may be empty where the server trusts its clients
   */
  public static HikariDataSource connect(String url, String user, String password) {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(url);
    config.setUsername(user);
    config.setPassword(password);
    config.setMaximumPoolSize(CONNECTIONS);
    config.setConnectionTimeout(WAIT.toMillis());
    config.setInitializationFailTimeout(-1);
    config.addDataSourceProperty("ApplicationName", "federatedcompute");
    config.addDataSourceProperty("options", "-c statement_timeout=" + STATEMENT.toMillis() + " -c timezone=UTC");
    config.addDataSourceProperty("connectTimeout", WAIT.toSeconds());
    config.addDataSourceProperty("socketTimeout", STATEMENT.plus(WAIT).toSeconds());
    return new HikariDataSource(config);
  }
}

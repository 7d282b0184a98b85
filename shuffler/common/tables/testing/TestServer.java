package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import java.util.function.Consumer;
import javax.sql.DataSource;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A database server that a test has for itself, with one of the adapters of the tables. What a suite has that all adapters pass, by
 * {@code @RegisterExtension}.
 */
public interface TestServer extends AfterAllCallback, AutoCloseable {
  /**
   * Makes a database.
   *
   * @param schema makes the tables, in PostgreSQL: on Spanner that is done by who sets it up, not by a service
   */
  TestDatabase newDatabase(Consumer<DataSource> schema);

  @Override
  default void afterAll(ExtensionContext context) {
    close();
  }

  @Override
  void close();
}

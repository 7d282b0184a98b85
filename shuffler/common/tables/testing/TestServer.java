package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import java.util.function.Consumer;
import javax.sql.DataSource;

/** A database server that a test has for itself, with one of the adapters of the tables. What a suite has that all adapters pass. */
public interface TestServer extends AutoCloseable {
  /**
   * Makes a database.
   *
   * @param schema makes the tables, in PostgreSQL: on Spanner that is done by who sets it up, not by a service
   */
  TestDatabase newDatabase(Consumer<DataSource> schema);

  @Override
  void close();
}

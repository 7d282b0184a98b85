package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.zaxxer.hikari.HikariDataSource;
import javax.sql.DataSource;
import org.springframework.jdbc.support.SQLExceptionTranslator;

/**
 * A database of one of the adapters of the tables.
 *
 * @param source connections to it, as a service has them
 * @param errors what the adapter makes of the driver's errors
 * @param behind what else there is as long as the database
 */
public record TestDatabase(HikariDataSource source, SQLExceptionTranslator errors, Behind behind) implements AutoCloseable {
  /** Goes away with the database. */
  @FunctionalInterface
  public interface Behind {
    void close();
  }

  /** What a service has. */
  public Database database() {
    return over(source);
  }

  /** The same over other connections to it, such as those that crash. */
  public Database over(DataSource connections) {
    return new Database(connections, errors);
  }

  @Override
  public void close() {
    source.close();
    behind.close();
  }
}

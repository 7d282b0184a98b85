package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Postgres;
import com.zaxxer.hikari.HikariDataSource;
import java.util.function.Consumer;
import javax.sql.DataSource;
import org.springframework.jdbc.support.SQLExceptionSubclassTranslator;

/** The adapter of the profile local, on a real PostgreSQL. */
public final class PostgresServer implements TestServer {
  private final PrivatePostgres postgres = PrivatePostgres.start();

  @Override
  public TestDatabase newDatabase(Consumer<DataSource> schema) {
    HikariDataSource source = Postgres.connect(postgres.newDatabase(), "test", "");
    schema.accept(source);
    return new TestDatabase(source, new SQLExceptionSubclassTranslator(), () -> {});
  }

  @Override
  public void close() {
    postgres.close();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.Spanner;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.SpannerErrors;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestDatabase;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.zaxxer.hikari.HikariDataSource;
import io.grpc.MethodDescriptor;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.function.Consumer;
import javax.sql.DataSource;

/** The adapter of the profile gcp, on a {@link FakeSpanner}. */
public final class SpannerServer implements TestServer {
  private static final Duration STATEMENT = Duration.ofMinutes(1);
  private static final Duration CONNECT = Duration.ofMinutes(2);

  private final PostgresServer postgres = new PostgresServer();
  private final FakeSpanner spanner = new FakeSpanner();

  @Override
  public TestDatabase newDatabase(Consumer<DataSource> schema) {
    TestDatabase behind = postgres.newDatabase(schema);
    HikariDataSource source = connect(spanner.port(), spanner.add(behind.source()), STATEMENT);
    return new TestDatabase(source, new SpannerErrors(), behind::close);
  }

  /** Does what a method is asked for next, and loses the answer. */
  public void loseNextAnswer(MethodDescriptor<?, ?> method) {
    spanner.loseNextAnswer(method);
  }

  @Override
  public void close() {
    spanner.close();
    postgres.close();
  }

  /** Connects for sure: the first time takes long on a slow machine, and the driver asks for the dialect then. */
  public static HikariDataSource connect(int port, String database, Duration statement) {
    HikariDataSource pool = Spanner.connect("//localhost:" + port + "/" + database + ";usePlainText=true", statement);
    long end = System.nanoTime() + CONNECT.toNanos();
    while (true) {
      try (Connection connection = pool.getConnection()) {
        return pool;
      } catch (SQLException notYet) {
        if (System.nanoTime() > end) {
          throw new IllegalStateException(notYet);
        }
      }
    }
  }
}

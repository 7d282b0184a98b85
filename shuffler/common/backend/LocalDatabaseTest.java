package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class LocalDatabaseTest {
  private static final long MILLISECONDS = Duration.ofMinutes(2).toMillis();

  @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();

  private static LocalDatabase connect(String url) {
    OptionValues options =
        LocalOptions.TABLE.parse("--database_url " + url + " --database_user test --database_password ''");
    return new LocalDatabase(options, LocalOptions.DATABASE_URL, List.of(Schema.TASKS), new SimpleMeterRegistry());
  }

  private static void await(LocalDatabase database) throws InterruptedException {
    long end = System.nanoTime() + MILLISECONDS * 1_000_000;
    while (true) {
      try {
        database.check();
        return;
      } catch (IllegalStateException notYet) {
        assertThat(System.nanoTime()).isLessThan(end);
        Thread.sleep(20);
      }
    }
  }

  @Test
  void servicesThatStartTogetherMakeTheTablesOnce() throws Exception {
    String url = postgres.newDatabase();
    List<LocalDatabase> services = IntStream.range(0, 4).mapToObj(i -> connect(url)).toList();
    for (LocalDatabase service : services) {
      await(service);
      assertThat(new Database(service.source()).<Long>query(client -> client.sql("SELECT count(*) FROM task").query(Long.class).single()))
          .isZero();
    }
    services.forEach(LocalDatabase::close);
  }

  @Test
  void lockOfAServiceThatWasKilledDoesNotMatter() throws Exception {
    String url = postgres.newDatabase();
    try (LocalDatabase first = connect(url)) {
      await(first);
    }
    try (Connection connection = DriverManager.getConnection(url, "test", ""); Statement statement = connection.createStatement()) {
      // Dropped by the next one to come; a service that was killed during its migration leaves this.
      statement.execute("UPDATE databasechangeloglock SET locked = true, lockgranted = now(), lockedby = 'killed'");
    }
    try (LocalDatabase next = connect(url)) {
      await(next);
    }
  }

  @Test
  void serverMayComeLater() throws Exception {
    String url = postgres.newDatabase();
    execute(url, "ALTER DATABASE " + name(url) + " ALLOW_CONNECTIONS false");
    try (LocalDatabase early = connect(url)) {
      assertThatThrownBy(early::check).hasMessage("its schema is not up to date yet");
      execute(url, "ALTER DATABASE " + name(url) + " ALLOW_CONNECTIONS true");
      await(early);
    }
  }

  private static String name(String url) {
    return url.substring(url.lastIndexOf('/') + 1);
  }

  private static void execute(String url, String sql) throws SQLException {
    String other = url.substring(0, url.lastIndexOf('/')) + "/postgres";
    try (Connection connection = DriverManager.getConnection(other, "test", ""); Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }
}

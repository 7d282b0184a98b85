package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.zaxxer.hikari.HikariDataSource;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class SchemaTest {
  @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();
  private static HikariDataSource source;
  private static Database database;

  @BeforeAll
  static void connect() {
    source = Postgres.connect(postgres.newDatabase(), "test", "");
    for (Schema schema : Schema.values()) {
      schema.migrate(source);
    }
    database = new Database(source);
  }

  @AfterAll
  static void disconnect() {
    source.close();
  }

  @Test
  void noIndexCompetesWithAPrimaryKey() {
    // The beginning of task_database.sql says why.
    String indexes = """
        SELECT secondary.indexrelid::regclass::text
        FROM pg_index AS secondary
        JOIN pg_index AS main ON main.indrelid = secondary.indrelid AND main.indisprimary
        JOIN pg_class AS relation ON relation.oid = main.indrelid
        WHERE relation.relnamespace = 'public'::regnamespace AND NOT secondary.indisprimary
        """;
    assertThat(database.<List<String>>query(client -> client.sql(indexes).query(String.class).list()))
        .contains("assignment_by_batch", "iteration_by_status");
    assertThat(database.<List<String>>query(client ->
        client.sql(indexes + " AND secondary.indkey[0] = ANY (main.indkey::int2[])").query(String.class).list()))
        .isEmpty();
  }

  @Test
  void schemaThatIsUpToDateStaysAsItIs() {
    String changes = "SELECT count(*) FROM databasechangelog";
    long before = database.<Long>query(client -> client.sql(changes).query(Long.class).single());
    for (Schema schema : Schema.values()) {
      schema.migrate(source);
    }
    assertThat(database.<Long>query(client -> client.sql(changes).query(Long.class).single())).isEqualTo(before).isPositive();
  }
}

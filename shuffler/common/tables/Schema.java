package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import java.sql.Connection;
import java.util.Map;
import javax.sql.DataSource;
import liquibase.Liquibase;
import liquibase.Scope;
import liquibase.UpdateSummaryOutputEnum;
import liquibase.database.DatabaseFactory;
import liquibase.database.jvm.JdbcConnection;
import liquibase.resource.ClassLoaderResourceAccessor;
import liquibase.ui.LoggerUIService;

/**
 * The tables as Liquibase makes them: changesets that a database does not have yet are applied, in their order, by one process at a time.
 */
public enum Schema {
  TASKS("schema/task_database.sql"),
  METRICS("schema/metrics_database.sql"),
  /** Beside the tasks, where a database keeps the messages, too: in the profile local. */
  QUEUE("schema/queue.sql");

  private final String changelog;

  Schema(String changelog) {
    this.changelog = changelog;
  }

  /**
   * Brings a database up to date.
   *
   * @throws IllegalStateException if a changeset fails, or one that is applied was edited
   */
  public void migrate(DataSource source) {
    try (Connection connection = source.getConnection()) {
      // Liquibase talks to the console otherwise.
      Scope.child(Map.of(Scope.Attr.ui.name(), new LoggerUIService()), () -> {
        Liquibase liquibase = new Liquibase(
            changelog,
            new ClassLoaderResourceAccessor(Schema.class.getClassLoader()),
            DatabaseFactory.getInstance().findCorrectDatabaseImplementation(new JdbcConnection(connection)));
        liquibase.setShowSummaryOutput(UpdateSummaryOutputEnum.LOG);
        liquibase.update();
      });
    } catch (Exception problem) { // Scope.child declares no narrower one
      throw new IllegalStateException("schema " + changelog + ": " + problem.getMessage(), problem);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** What the queries of this package share: conditions on keys with their parameters, and times. */
final class Rows {
  static final String OF_TASK = "population_name = :population AND task_id = :task";
  static final String OF_ITERATION = OF_TASK + " AND iteration_id = :iteration AND attempt_id = :attempt";
  static final String OF_ASSIGNMENT = OF_ITERATION + " AND session_id = :session";
  static final String OF_BATCH = OF_ITERATION + " AND batch_id = :batch";

  private Rows() {}

  static Map<String, Object> parameters(TaskKey key) {
    Map<String, Object> parameters = new HashMap<>();
    parameters.put("population", key.population());
    parameters.put("task", key.task());
    return parameters;
  }

  static Map<String, Object> parameters(IterationKey key) {
    Map<String, Object> parameters = parameters(key.task());
    parameters.put("iteration", key.iteration());
    parameters.put("attempt", key.attempt());
    return parameters;
  }

  static Map<String, Object> parameters(AssignmentKey key) {
    Map<String, Object> parameters = parameters(key.iteration());
    parameters.put("session", key.session());
    return parameters;
  }

  static OffsetDateTime time(Instant instant) {
    return instant.atOffset(ZoneOffset.UTC);
  }

  static OffsetDateTime time(Optional<Instant> instant) {
    return instant.map(Rows::time).orElse(null);
  }

  static Optional<Instant> time(ResultSet row, String column) throws SQLException {
    return Optional.ofNullable(row.getObject(column, OffsetDateTime.class)).map(OffsetDateTime::toInstant);
  }

  static TaskKey taskKey(ResultSet row) throws SQLException {
    return new TaskKey(row.getString("population_name"), row.getLong("task_id"));
  }

  static IterationKey iterationKey(ResultSet row) throws SQLException {
    return new IterationKey(taskKey(row), row.getLong("iteration_id"), row.getLong("attempt_id"));
  }
}

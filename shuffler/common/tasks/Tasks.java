package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.springframework.jdbc.core.simple.JdbcClient;

/** The tasks. */
public final class Tasks {
  private static final List<Long> ACTIVE = List.of(TaskStatus.CREATED.code(), TaskStatus.OPEN.code());

  private final Database database;

  public Tasks(Database database) {
    this.database = database;
  }

  /**
   * Creates a task, with the next number of its population.
   *
   * @throws ActiveTaskException if the population has an active task of the same kind
   */
  public Task create(String population, Task.Settings settings, Instant now) {
    return database.transact(client -> {
      // The number first: a task that another creates until the look at the active ones is seen there, one that is created later has this
      // number too, and the later of the two comes here again.
      long number = client.sql("SELECT COALESCE(MAX(task_id), 0) + 1 FROM task WHERE population_name = :population")
          .param("population", population)
          .query(Long.class)
          .single();
      for (Task other : select(client, "population_name = :population AND status IN (:active)", Map.of(
          "population", population, "active", ACTIVE))) {
        if (other.settings().info().getInfoCase() == settings.info().getInfoCase()) {
          throw new ActiveTaskException(other.key());
        }
      }
      Task task = new Task(new TaskKey(population, number), TaskStatus.CREATED, settings, now);
      insert(client, task);
      addHistory(client, task.key(), TaskStatus.CREATED, now);
      return task;
    });
  }

  public Optional<Task> find(TaskKey key) {
    return database.query(client -> select(client, Rows.OF_TASK, Rows.parameters(key)).stream().findFirst());
  }

  /** Tasks in a state, in the order of their keys; at most LIMIT. */
  public List<Task> withStatus(TaskStatus status, int limit) {
    return database.query(client -> select(
        client,
        "status = :status ORDER BY population_name, task_id LIMIT :limit",
        Map.of("status", status.code(), "limit", limit)));
  }

  /** Moves a task from one state to another; false if it was not in the first. */
  public boolean move(TaskKey key, TaskStatus from, TaskStatus to, Instant now) {
    return database.transact(client -> move(client, key, from, to, now));
  }

  /**
   * Whether a task is active, and keeps it so until the transaction ends: who begins an iteration and who ends the task wait for each
   * other.
   */
  static boolean hold(JdbcClient client, TaskKey key) {
    return client.sql("UPDATE task SET status = status WHERE " + Rows.OF_TASK + " AND status IN (:active)")
        .params(Rows.parameters(key))
        .param("active", ACTIVE)
        .update() == 1;
  }

  static boolean move(JdbcClient client, TaskKey key, TaskStatus from, TaskStatus to, Instant now) {
    int moved = client.sql("UPDATE task SET status = :to WHERE " + Rows.OF_TASK + " AND status = :from")
        .params(Rows.parameters(key))
        .param("from", from.code())
        .param("to", to.code())
        .update();
    if (moved == 1) {
      addHistory(client, key, to, now);
    }
    return moved == 1;
  }

  private static void insert(JdbcClient client, Task task) {
    Task.Settings settings = task.settings();
    client.sql("""
        INSERT INTO task (population_name, task_id, total_iteration, min_aggregation_size, max_aggregation_size, status, created_time,
            start_time, stop_time, start_task_no_earlier_than, do_not_create_iteration_after, max_parallel, correlation_id,
            min_client_version, max_client_version, info)
        VALUES (:population, :task, :total, :min, :max, :status, :created, :start, :stop, :not_before, :not_after, :parallel, :correlation,
            :min_version, :max_version, CAST(:info AS jsonb))
        """)
        .params(Rows.parameters(task.key()))
        .param("total", settings.totalIteration())
        .param("min", settings.minAggregationSize())
        .param("max", settings.maxAggregationSize())
        .param("status", task.status().code())
        .param("created", Rows.time(task.createdTime()))
        .param("start", Rows.time(settings.startTime()))
        .param("stop", Rows.time(settings.stopTime()))
        .param("not_before", Rows.time(settings.startNoEarlierThan()))
        .param("not_after", Rows.time(settings.doNotCreateIterationAfter()))
        .param("parallel", settings.maxParallel())
        .param("correlation", settings.correlationId())
        .param("min_version", settings.clientVersions().min())
        .param("max_version", settings.clientVersions().max())
        .param("info", Json.print(settings.info()))
        .update();
  }

  private static void addHistory(JdbcClient client, TaskKey key, TaskStatus status, Instant now) {
    // The first number is 0. The row of the task is locked by now.
    client.sql("INSERT INTO task_status_history (population_name, task_id, status_id, status, created_time)"
            + " SELECT :population, :task, COALESCE(MAX(status_id), -1) + 1, :status, CAST(:now AS timestamptz)"
            + " FROM task_status_history WHERE " + Rows.OF_TASK)
        .params(Rows.parameters(key))
        .param("status", status.code())
        .param("now", Rows.time(now))
        .update();
  }

  private static List<Task> select(JdbcClient client, String condition, Map<String, ?> parameters) {
    return client.sql("SELECT * FROM task WHERE " + condition).params(parameters).query((row, number) -> task(row)).list();
  }

  private static Task task(ResultSet row) throws SQLException {
    return new Task(
        Rows.taskKey(row),
        Status.of(TaskStatus.class, row.getLong("status")),
        new Task.Settings(
            row.getLong("total_iteration"),
            row.getLong("min_aggregation_size"),
            row.getLong("max_aggregation_size"),
            Rows.time(row, "start_task_no_earlier_than"),
            Rows.time(row, "do_not_create_iteration_after"),
            Rows.time(row, "start_time"),
            Rows.time(row, "stop_time"),
            row.getLong("max_parallel"),
            row.getString("correlation_id"),
            new ClientVersions(row.getString("min_client_version"), row.getString("max_client_version")),
            Json.parse(row.getString("info"), TaskInfo.newBuilder()).build()),
        Rows.time(row, "created_time").orElseThrow());
  }
}

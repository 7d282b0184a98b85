package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.springframework.jdbc.core.simple.JdbcClient;

/** The iterations of tasks. */
public final class Iterations {
  /** Devices that check in at the same time wait for the same row only within a shard. */
  static final long MOST_SHARDS = 16;

  // Written for those who read the tables; no service reads it.
  private static final Duration EXPIRES_AFTER = Duration.ofHours(1);

  private static final List<Long> ACTIVE =
      Stream.of(IterationStatus.values()).filter(IterationStatus::active).map(IterationStatus::code).toList();

  private final Database database;

  public Iterations(Database database) {
    this.database = database;
  }

  /**
   * Begins the first iteration of a task, if its task has none.
   *
   * @return false if it has one, or has come to its end
   */
  public boolean begin(IterationKey key, Iteration.Settings settings, Instant now) {
    return database.transact(client -> {
      boolean free = Tasks.hold(client, key.task()) && newest(client, key.task()).isEmpty();
      if (free) {
        insert(client, key, settings, now);
      }
      return free;
    });
  }

  /**
   * Begins the iteration after one that has ended.
   *
   * @return false if there is one already, or the task has come to its end
   */
  public boolean follow(Iteration ended, Iteration.Settings next, Instant now) {
    return database.transact(client -> {
      IterationKey key = ended.key();
      boolean free = Tasks.hold(client, key.task()) && hasEnded(newest(client, key.task()), Optional.of(key));
      if (free) {
        insert(client, new IterationKey(key.task(), key.iteration() + 1, key.attempt()), next, now);
      }
      return free;
    });
  }

  /**
   * Moves an open task to its last state.
   *
   * @param newest its newest iteration, which has ended; none if it has none
   * @return false if there is a newer one by now, or the task is not open
   */
  public boolean end(TaskKey task, Optional<Iteration> newest, TaskStatus to, Instant now) {
    return database.transact(client ->
        Tasks.hold(client, task)
            && hasEnded(newest(client, task), newest.map(Iteration::key))
            && Tasks.move(client, task, TaskStatus.OPEN, to, now));
  }

  /**
   * Cancels an active task, and in the same transaction its iteration that goes on, if there is one.
   *
   * @return false if the task has come to its end, or there is none
   */
  public boolean cancel(TaskKey task, Instant now) {
    return database.transact(client -> {
      // In the order of a task's life: one that is opened in between is open for the second.
      boolean canceled = Tasks.move(client, task, TaskStatus.CREATED, TaskStatus.CANCELED, now)
          || Tasks.move(client, task, TaskStatus.OPEN, TaskStatus.CANCELED, now);
      if (canceled) {
        // The row of the task is locked by now, so no iteration begins.
        client.sql("UPDATE iteration SET status = :to WHERE " + Rows.OF_TASK + " AND status IN (:active) RETURNING *")
            .params(Rows.parameters(task))
            .param("to", IterationStatus.CANCELED.code())
            .param("active", ACTIVE)
            .query((row, number) -> iteration(row))
            .list()
            .forEach(moved -> addHistory(client, moved.key(), IterationStatus.CANCELED, moved.aggregationLevel(), now));
      }
      return canceled;
    });
  }

  private static boolean hasEnded(Optional<Iteration> newest, Optional<IterationKey> expected) {
    return newest.map(Iteration::key).equals(expected) && newest.filter(found -> found.status().active()).isEmpty();
  }

  /** The iterations of a population that go on, in the order of their keys. */
  public List<Iteration> active(String population) {
    return database.query(client -> select(
        client,
        "population_name = :population AND status IN (:active) ORDER BY task_id, iteration_id, attempt_id",
        Map.of("population", population, "active", ACTIVE)));
  }

  /** Iterations in a state, in the order of their keys; at most LIMIT. */
  public List<Iteration> withStatus(IterationStatus status, int limit) {
    return database.query(client -> select(
        client,
        "status = :status ORDER BY population_name, task_id, iteration_id, attempt_id LIMIT :limit",
        Map.of("status", status.code(), "limit", limit)));
  }

  public Optional<Iteration> find(IterationKey key) {
    return database.query(client -> select(client, Rows.OF_ITERATION, Rows.parameters(key)).stream().findFirst());
  }

  /** The newest iteration of a task. */
  public Optional<Iteration> newest(TaskKey task) {
    return database.query(client -> newest(client, task));
  }

  private static Optional<Iteration> newest(JdbcClient client, TaskKey task) {
    return select(client, Rows.OF_TASK + " ORDER BY iteration_id DESC, attempt_id DESC LIMIT 1", Rows.parameters(task))
        .stream()
        .findFirst();
  }

  /** When an iteration came to the state that it is in. */
  public Optional<Instant> since(IterationKey key) {
    return database.query(client -> client
        .sql("SELECT created_time FROM iteration_status_history WHERE " + Rows.OF_ITERATION + " ORDER BY status_id DESC LIMIT 1")
        .params(Rows.parameters(key))
        .query((row, number) -> Rows.time(row, "created_time").orElseThrow())
        .optional());
  }

  /** The iterations of a task that were completed at some time or later, with the times, in their order. */
  public SortedMap<Long, Instant> completedSince(TaskKey task, Instant time) {
    SortedMap<Long, Instant> completed = new TreeMap<>();
    database.query(client -> client
        .sql("SELECT iteration_id, created_time FROM iteration_status_history WHERE " + Rows.OF_TASK
            + " AND status = :completed AND created_time >= :time")
        .params(Rows.parameters(task))
        .param("completed", IterationStatus.COMPLETED.code())
        .param("time", Rows.time(time))
        .query((row, number) -> completed.put(row.getLong("iteration_id"), Rows.time(row, "created_time").orElseThrow()))
        .list());
    return completed;
  }

  /** Moves an iteration from where it was read to a state and an aggregation level; false if it is no longer there. */
  public boolean move(Iteration from, IterationStatus to, long level, Instant now) {
    return database.transact(client -> move(client, from, to, level, now));
  }

  /**
   * Completes an iteration that was read as applying, and in the same transaction begins the next one or completes the task.
   *
   * @param next of the next iteration; none for the last one
   * @return false if the iteration is no longer there, or the task has come to its end
   */
  public boolean complete(Iteration iteration, Optional<Iteration.Settings> next, Instant now) {
    return database.transact(client -> {
      IterationKey key = iteration.key();
      if (!Tasks.hold(client, key.task())
          || !move(client, iteration, IterationStatus.COMPLETED, iteration.aggregationLevel(), now)) {
        return false;
      }
      if (next.isPresent()) {
        insert(client, new IterationKey(key.task(), key.iteration() + 1, key.attempt()), next.get(), now);
      } else {
        Tasks.move(client, key.task(), TaskStatus.OPEN, TaskStatus.COMPLETED, now);
      }
      return true;
    });
  }

  private static boolean move(JdbcClient client, Iteration from, IterationStatus to, long level, Instant now) {
    int moved = client.sql("UPDATE iteration SET status = :to, aggregation_level = :level WHERE " + Rows.OF_ITERATION
            + " AND status = :from AND aggregation_level = :from_level")
        .params(Rows.parameters(from.key()))
        .param("from", from.status().code())
        .param("from_level", from.aggregationLevel())
        .param("to", to.code())
        .param("level", level)
        .update();
    if (moved == 1) {
      addHistory(client, from.key(), to, level, now);
    }
    return moved == 1;
  }

  private static void insert(JdbcClient client, IterationKey key, Iteration.Settings settings, Instant now) {
    client.sql("""
        INSERT INTO iteration (population_name, task_id, iteration_id, attempt_id, status, base_iteration_id, base_on_result_id, result_id,
            report_goal, max_aggregation_size, aggregation_level, expiration_time, min_client_version, max_client_version, info)
        VALUES (:population, :task, :iteration, :attempt, :status, :base, :base_result, :result, :goal, :max, 0, :expires,
            :min_version, :max_version, CAST(:info AS jsonb))
        """)
        .params(Rows.parameters(key))
        .param("status", IterationStatus.COLLECTING.code())
        .param("base", settings.baseIteration())
        .param("base_result", settings.baseOnResult())
        .param("result", settings.result())
        .param("goal", settings.reportGoal())
        .param("max", settings.maxAggregationSize())
        .param("expires", Rows.time(now.plus(EXPIRES_AFTER)))
        .param("min_version", settings.clientVersions().min())
        .param("max_version", settings.clientVersions().max())
        .param("info", Json.print(settings.info()))
        .update();
    addHistory(client, key, IterationStatus.COLLECTING, 0, now);
    long shards = Math.min(MOST_SHARDS, Math.max(1, settings.maxAggregationSize()));
    for (long shard = 0; shard < shards; shard++) {
      long capacity = settings.maxAggregationSize() / shards + (shard < settings.maxAggregationSize() % shards ? 1 : 0);
      client.sql("INSERT INTO assignment_slots (population_name, task_id, iteration_id, attempt_id, shard, active, capacity)"
              + " VALUES (:population, :task, :iteration, :attempt, :shard, 0, :capacity)")
          .params(Rows.parameters(key))
          .param("shard", shard)
          .param("capacity", capacity)
          .update();
    }
  }

  private static void addHistory(JdbcClient client, IterationKey key, IterationStatus status, long level, Instant now) {
    // The first number is 1. The row of the iteration is locked by now.
    client.sql("INSERT INTO iteration_status_history"
            + " (population_name, task_id, iteration_id, attempt_id, status_id, status, aggregation_level, created_time)"
            + " SELECT :population, :task, :iteration, :attempt, COALESCE(MAX(status_id), 0) + 1, :status, :level,"
            + " CAST(:now AS timestamptz)"
            + " FROM iteration_status_history WHERE " + Rows.OF_ITERATION)
        .params(Rows.parameters(key))
        .param("status", status.code())
        .param("level", level)
        .param("now", Rows.time(now))
        .update();
  }

  private static List<Iteration> select(JdbcClient client, String condition, Map<String, ?> parameters) {
    return client.sql("SELECT * FROM iteration WHERE " + condition).params(parameters).query((row, number) -> iteration(row)).list();
  }

  private static Iteration iteration(ResultSet row) throws SQLException {
    return new Iteration(
        Rows.iterationKey(row),
        Status.of(IterationStatus.class, row.getLong("status")),
        row.getLong("aggregation_level"),
        new Iteration.Settings(
            row.getLong("base_iteration_id"),
            row.getLong("base_on_result_id"),
            row.getLong("result_id"),
            row.getLong("report_goal"),
            row.getLong("max_aggregation_size"),
            new ClientVersions(row.getString("min_client_version"), row.getString("max_client_version")),
            Json.parse(row.getString("info"), IterationInfo.newBuilder()).build()));
  }
}

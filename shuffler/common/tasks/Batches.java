package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.time.Instant;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.springframework.jdbc.core.simple.JdbcClient;

/** The batches of iterations: uploads that the aggregator adds up at once. */
public final class Batches {
  /** The aggregation level of batches of uploads; there is no other. */
  public static final long LEVEL = 0;

  private final Database database;

  public Batches(Database database) {
    this.database = database;
  }

  /**
   * Makes a batch of those assignments that are still in a state, and in no batch; they are UPLOAD_COMPLETED from then on.
   *
   * @param from LOCAL_COMPLETED or UPLOAD_COMPLETED
   * @return how many assignments those were; if none, there is no batch
   */
  public int create(IterationKey key, String batch, AssignmentStatus from, List<String> sessions, Instant now) {
    return database.transact(client -> {
      int size = Assignments.move(client, key, from, AssignmentStatus.UPLOAD_COMPLETED, Optional.of(batch), sessions, now);
      if (size > 0) {
        client.sql("""
            INSERT INTO aggregation_batch (population_name, task_id, iteration_id, attempt_id, batch_id, aggregation_level, status,
                batch_size, created_by_partition, created_time)
            VALUES (:population, :task, :iteration, :attempt, :batch, :level, :status, :size, :partition, :now)
            """)
            .params(Rows.parameters(key))
            .param("batch", batch)
            .param("level", LEVEL)
            .param("status", BatchStatus.FULL.code())
            .param("size", size)
            .param("partition", Long.toString(key.iteration()))
            .param("now", Rows.time(now))
            .update();
        addHistory(client, key, batch, BatchStatus.FULL, now);
      }
      return size;
    });
  }

  /** Moves a batch from one state to another; false if it was not in the first. */
  public boolean move(IterationKey key, String batch, BatchStatus from, BatchStatus to, Instant now) {
    return database.transact(client -> move(client, key, batch, from, to, now));
  }

  /** Fails a batch that was published, and its assignments with it; false if it was not published, or has its sum, or has failed. */
  public boolean fail(IterationKey key, String batch, Instant now) {
    return database.transact(client -> {
      boolean moved = move(client, key, batch, BatchStatus.PUBLISH_COMPLETED, BatchStatus.FAILED, now);
      if (moved) {
        Assignments.fail(client, key, batch, now);
      }
      return moved;
    });
  }

  public Optional<BatchStatus> status(IterationKey key, String batch) {
    return database.query(client -> client.sql("SELECT status FROM aggregation_batch WHERE " + Rows.OF_BATCH)
        .params(Rows.parameters(key))
        .param("batch", batch)
        .query(Long.class)
        .optional()
        .map(code -> Status.of(BatchStatus.class, code)));
  }

  /**
   * The batches of an iteration in a state, in the order of their names.
   *
   * @param after where to go on: the last one of the call before, or the empty text
   * @param limit how many, at most
   */
  public List<String> withStatus(IterationKey key, BatchStatus status, String after, int limit) {
    return database.query(client -> client.sql("SELECT batch_id FROM aggregation_batch WHERE " + Rows.OF_ITERATION
            + " AND aggregation_level = :level AND status = :status AND batch_id > :after ORDER BY batch_id LIMIT :limit")
        .params(Rows.parameters(key))
        .param("level", LEVEL)
        .param("status", status.code())
        .param("after", after)
        .param("limit", limit)
        .query(String.class)
        .list());
  }

  /** The sessions of a batch whose contributions are in it, sorted. */
  public List<String> members(IterationKey key, String batch) {
    return database.query(client -> client.sql("SELECT session_id FROM assignment WHERE " + Rows.OF_BATCH
            + " AND status = :uploaded ORDER BY session_id")
        .params(Rows.parameters(key))
        .param("batch", batch)
        .param("uploaded", AssignmentStatus.UPLOAD_COMPLETED.code())
        .query(String.class)
        .list());
  }

  /** How many contributions of an iteration are in batches of each state. */
  public Contributions contributions(IterationKey key) {
    Map<BatchStatus, Long> sizes = new EnumMap<>(BatchStatus.class);
    database.query(client -> client.sql("SELECT status, CAST(SUM(batch_size) AS bigint) AS size FROM aggregation_batch WHERE "
            + Rows.OF_ITERATION + " AND aggregation_level = :level GROUP BY status")
        .params(Rows.parameters(key))
        .param("level", LEVEL)
        .query((row, number) -> Map.entry(Status.of(BatchStatus.class, row.getLong("status")), row.getLong("size")))
        .list())
        .forEach(entry -> sizes.put(entry.getKey(), entry.getValue()));
    return new Contributions(
        sizes.getOrDefault(BatchStatus.PUBLISH_COMPLETED, 0L) + sizes.getOrDefault(BatchStatus.UPLOAD_COMPLETED, 0L),
        sizes.getOrDefault(BatchStatus.UPLOAD_COMPLETED, 0L),
        sizes.getOrDefault(BatchStatus.FAILED, 0L));
  }

  /**
   * Numbers of contributions.
   *
   * @param published that the aggregator was asked to add up and has not failed at; those that are aggregated are among them
   * @param aggregated that are in sums
   * @param failed that are lost
   */
  public record Contributions(long published, long aggregated, long failed) {}

  private static boolean move(JdbcClient client, IterationKey key, String batch, BatchStatus from, BatchStatus to, Instant now) {
    int moved = client.sql("UPDATE aggregation_batch SET status = :to WHERE " + Rows.OF_BATCH + " AND status = :from")
        .params(Rows.parameters(key))
        .param("batch", batch)
        .param("from", from.code())
        .param("to", to.code())
        .update();
    if (moved == 1) {
      addHistory(client, key, batch, to, now);
    }
    return moved == 1;
  }

  private static void addHistory(JdbcClient client, IterationKey key, String batch, BatchStatus status, Instant now) {
    // The first number is 1. The row of the batch is locked by now.
    client.sql("INSERT INTO aggregation_batch_status_history (population_name, task_id, iteration_id, attempt_id, batch_id, status_id,"
            + " aggregation_level, status, created_by_partition, created_time)"
            + " SELECT :population, :task, :iteration, :attempt, :batch, COALESCE(MAX(status_id), 0) + 1, :level, :status, :partition,"
            + " CAST(:now AS timestamptz)"
            + " FROM aggregation_batch_status_history WHERE " + Rows.OF_BATCH)
        .params(Rows.parameters(key))
        .param("batch", batch)
        .param("level", LEVEL)
        .param("status", status.code())
        .param("partition", Long.toString(key.iteration()))
        .param("now", Rows.time(now))
        .update();
  }
}

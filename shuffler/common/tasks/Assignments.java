package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.springframework.jdbc.core.simple.JdbcClient;

/** The assignments of iterations: what devices were asked to do and how far they came. */
public final class Assignments {
  /** How a request for an assignment ended. */
  public enum Outcome {
    ASSIGNED,
    /** As many assignments as the iteration may have are active. */
    FULL,
    /** The iteration does not collect any more. */
    NOT_COLLECTING
  }

  /**
   * An assignment that waits for what comes next.
   *
   * @param since when it came into its state
   */
  public record Waiting(String session, Instant since) {}

  // A transaction moves any number; a statement names no more than this. Spanner takes 950 parameters.
  private static final int MOST_IN_A_STATEMENT = 500;
  private static final List<Long> SHARDS = LongStream.range(0, Iterations.MOST_SHARDS).boxed().toList();

  private final Database database;

  public Assignments(Database database) {
    this.database = database;
  }

  /** Makes an assignment. However many ask at the same time, there are never more active ones than the iteration allows. */
  public Outcome assign(AssignmentKey key, String correlationId, Instant now) {
    // Most shards have room until an iteration is nearly full. A small iteration has fewer shards.
    List<Long> free = SHARDS;
    while (!free.isEmpty()) {
      long shard = free.get(ThreadLocalRandom.current().nextInt(free.size()));
      try {
        return database.transact(client -> assign(client, key, shard, correlationId, now));
      } catch (ShardFullException lost) {
        // Outside of the transaction, which on Spanner would lose against every other one that takes a slot, whatever its shard.
        free = database.query(client -> client
            .sql("SELECT shard FROM assignment_slots WHERE active < capacity AND " + Rows.OF_ITERATION)
            .params(Rows.parameters(key.iteration()))
            .query(Long.class)
            .list());
      }
    }
    return Outcome.FULL;
  }

  /** What was done in its transaction must not have happened. */
  private static final class ShardFullException extends RuntimeException {
    private static final long serialVersionUID = 1;

    ShardFullException() {
      super("no slot is free", null, false, false);
    }
  }

  /** Makes an assignment in a shard. */
  private static Outcome assign(JdbcClient client, AssignmentKey key, long shard, String correlationId, Instant now) {
    int inserted = client.sql("""
        INSERT INTO assignment (population_name, task_id, iteration_id, attempt_id, session_id, correlation_id, status, created_time,
            status_time, shard)
        SELECT population_name, task_id, iteration_id, attempt_id, :session, :correlation, :assigned, CAST(:now AS timestamptz),
            CAST(:now AS timestamptz), :shard
        FROM iteration WHERE status = :collecting AND\s""" + Rows.OF_ITERATION)
        .params(Rows.parameters(key))
        .param("correlation", correlationId)
        .param("assigned", AssignmentStatus.ASSIGNED.code())
        .param("now", Rows.time(now))
        .param("shard", shard)
        .param("collecting", IterationStatus.COLLECTING.code())
        .update();
    if (inserted == 0) {
      return Outcome.NOT_COLLECTING;
    }
    // The first number is 1.
    addHistory(client, key, 1, AssignmentStatus.ASSIGNED, now);
    // Last, as others wait for the row until the transaction ends.
    int taken = client.sql("UPDATE assignment_slots SET active = active + 1 WHERE active < capacity AND shard = :shard AND "
            + Rows.OF_ITERATION)
        .params(Rows.parameters(key.iteration()))
        .param("shard", shard)
        .update();
    if (taken == 0) {
      throw new ShardFullException();
    }
    return Outcome.ASSIGNED;
  }

  /** Moves an assignment from ASSIGNED to what the device reports; false if it was not there. */
  public boolean report(AssignmentKey key, AssignmentStatus result, Instant now) {
    return database.transact(client -> {
      Optional<Long> shard = client.sql("UPDATE assignment SET status = :to, status_time = :now WHERE status = :from AND "
              + Rows.OF_ASSIGNMENT + " RETURNING shard")
          .params(Rows.parameters(key))
          .param("from", AssignmentStatus.ASSIGNED.code())
          .param("to", result.code())
          .param("now", Rows.time(now))
          .query(Long.class)
          .optional();
      shard.ifPresent(taken -> {
        // Nothing comes between 1 and the report.
        addHistory(client, key, 2, result, now);
        if (!result.active()) {
          returnSlots(client, key.iteration(), taken, 1);
        }
      });
      return shard.isPresent();
    });
  }

  public Optional<AssignmentStatus> status(AssignmentKey key) {
    return database.query(client -> client.sql("SELECT status FROM assignment WHERE " + Rows.OF_ASSIGNMENT)
        .params(Rows.parameters(key))
        .query(Long.class)
        .optional()
        .map(code -> Status.of(AssignmentStatus.class, code)));
  }

  /**
   * The assignments in a state that are in no batch, the one that waits for longest first.
   *
   * @param after where to go on: the last one of the call before
   * @param limit how many, at most
   */
  public List<Waiting> waiting(IterationKey key, AssignmentStatus status, Optional<Waiting> after, int limit) {
    // Both halves of the second condition: the first is where the index is entered. Ordered by batch_id, which is null, too: so the rows
    // come from the index in their order, however many wait.
    String rest = after.isEmpty() ? "" : " AND status_time >= :since AND (status_time > :since OR session_id > :session)";
    return database.query(client -> {
      JdbcClient.StatementSpec statement = client.sql("SELECT session_id, status_time FROM assignment WHERE " + Rows.OF_ITERATION
              + " AND status = :status AND batch_id IS NULL" + rest + " ORDER BY batch_id, status_time, session_id LIMIT :limit")
          .params(Rows.parameters(key))
          .param("status", status.code())
          .param("limit", limit);
      after.ifPresent(last -> statement.param("since", Rows.time(last.since())).param("session", last.session()));
      return statement
          .query((row, number) -> new Waiting(row.getString("session_id"), Rows.time(row, "status_time").orElseThrow()))
          .list();
    });
  }

  /**
   * Moves those that are still in a state, and in no batch, to another one.
   *
   * @return how many those were
   */
  public int move(IterationKey key, AssignmentStatus from, AssignmentStatus to, List<String> sessions, Instant now) {
    return database.transact(client -> move(client, key, from, to, Optional.empty(), sessions, now));
  }

  /** The same, in a transaction of the caller, and into a batch if there is one. */
  static int move(
      JdbcClient client,
      IterationKey key,
      AssignmentStatus from,
      AssignmentStatus to,
      Optional<String> batch,
      List<String> sessions,
      Instant now) {
    int moved = 0;
    for (List<String> some : portions(sessions)) {
      List<Moved> rows = client.sql("UPDATE assignment SET status = :to, status_time = :now, batch_id = CAST(:batch AS varchar) WHERE "
              + Rows.OF_ITERATION + " AND session_id IN (:sessions) AND status = :from AND batch_id IS NULL RETURNING session_id, shard")
          .params(Rows.parameters(key))
          .param("sessions", some)
          .param("from", from.code())
          .param("to", to.code())
          .param("batch", batch.orElse(null))
          .param("now", Rows.time(now))
          .query((row, number) -> new Moved(row.getString("session_id"), row.getLong("shard")))
          .list();
      record(client, key, to, batch, rows, now);
      moved += rows.size();
    }
    return moved;
  }

  /** Fails the assignments of a batch, whose contributions are lost with it; how many. */
  static int fail(JdbcClient client, IterationKey key, String batch, Instant now) {
    List<Moved> rows = client.sql("UPDATE assignment SET status = :to, status_time = :now WHERE " + Rows.OF_ITERATION
            + " AND status = :from AND batch_id = :batch RETURNING session_id, shard")
        .params(Rows.parameters(key))
        .param("from", AssignmentStatus.UPLOAD_COMPLETED.code())
        .param("to", AssignmentStatus.REMOTE_FAILED.code())
        .param("batch", batch)
        .param("now", Rows.time(now))
        .query((row, number) -> new Moved(row.getString("session_id"), row.getLong("shard")))
        .list();
    record(client, key, AssignmentStatus.REMOTE_FAILED, Optional.of(batch), rows, now);
    return rows.size();
  }

  private record Moved(String session, long shard) {}

  /** Writes history rows of assignments that were moved, and gives the slots back of those that are not active any more. */
  private static void record(
      JdbcClient client, IterationKey key, AssignmentStatus to, Optional<String> batch, List<Moved> moved, Instant now) {
    for (List<String> some : portions(moved.stream().map(Moved::session).toList())) {
      client.sql("""
          INSERT INTO assignment_status_history (population_name, task_id, iteration_id, attempt_id, session_id, status_id, status, batch_id,
              created_time)
          SELECT population_name, task_id, iteration_id, attempt_id, session_id, MAX(status_id) + 1, :to, CAST(:batch AS varchar),
              CAST(:now AS timestamptz)
          FROM assignment_status_history WHERE session_id IN (:sessions) AND\s""" + Rows.OF_ITERATION + """

          GROUP BY population_name, task_id, iteration_id, attempt_id, session_id
          """)
          .params(Rows.parameters(key))
          .param("sessions", some)
          .param("to", to.code())
          .param("batch", batch.orElse(null))
          .param("now", Rows.time(now))
          .update();
    }
    if (!to.active()) {
      // In the order of the shards, so that two who give back wait for each other instead of being stuck.
      moved.stream()
          .collect(Collectors.groupingBy(Moved::shard, TreeMap::new, Collectors.counting()))
          .forEach((shard, count) -> returnSlots(client, key, shard, count));
    }
  }

  private static List<List<String>> portions(List<String> sessions) {
    return IntStream.iterate(0, start -> start < sessions.size(), start -> start + MOST_IN_A_STATEMENT)
        .mapToObj(start -> sessions.subList(start, Math.min(start + MOST_IN_A_STATEMENT, sessions.size())))
        .toList();
  }

  private static void returnSlots(JdbcClient client, IterationKey key, long shard, long count) {
    client.sql("UPDATE assignment_slots SET active = active - :count WHERE shard = :shard AND " + Rows.OF_ITERATION)
        .params(Rows.parameters(key))
        .param("shard", shard)
        .param("count", count)
        .update();
  }

  private static void addHistory(JdbcClient client, AssignmentKey key, long number, AssignmentStatus status, Instant now) {
    client.sql("INSERT INTO assignment_status_history"
            + " (population_name, task_id, iteration_id, attempt_id, session_id, status_id, status, created_time)"
            + " VALUES (:population, :task, :iteration, :attempt, :session, :number, :status, :now)")
        .params(Rows.parameters(key))
        .param("number", number)
        .param("status", status.code())
        .param("now", Rows.time(now))
        .update();
  }
}

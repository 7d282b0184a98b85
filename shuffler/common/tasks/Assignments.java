package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
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

  private final Database database;

  public Assignments(Database database) {
    this.database = database;
  }

  /** Makes an assignment. However many ask at the same time, there are never more active ones than the iteration allows. */
  public Outcome assign(AssignmentKey key, String correlationId, Instant now) {
    return database.transact(client -> {
      Optional<Long> shard = takeSlot(client, key.iteration());
      if (shard.isEmpty()) {
        return Outcome.FULL;
      }
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
          .param("shard", shard.get())
          .param("collecting", IterationStatus.COLLECTING.code())
          .update();
      if (inserted == 0) {
        returnSlot(client, key.iteration(), shard.get());
        return Outcome.NOT_COLLECTING;
      }
      // The first number is 1.
      addHistory(client, key, 1, AssignmentStatus.ASSIGNED, now);
      return Outcome.ASSIGNED;
    });
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
          returnSlot(client, key.iteration(), taken);
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

  /** Takes a slot in a shard that has one, chosen at random; none if all are taken. */
  private static Optional<Long> takeSlot(JdbcClient client, IterationKey key) {
    while (true) {
      List<Long> free = client.sql("SELECT shard FROM assignment_slots WHERE active < capacity AND " + Rows.OF_ITERATION)
          .params(Rows.parameters(key))
          .query(Long.class)
          .list();
      if (free.isEmpty()) {
        return Optional.empty();
      }
      long shard = free.get(ThreadLocalRandom.current().nextInt(free.size()));
      int taken = client.sql("UPDATE assignment_slots SET active = active + 1 WHERE active < capacity AND shard = :shard AND "
              + Rows.OF_ITERATION)
          .params(Rows.parameters(key))
          .param("shard", shard)
          .update();
      if (taken == 1) {
        return Optional.of(shard);
      }
    }
  }

  private static void returnSlot(JdbcClient client, IterationKey key, long shard) {
    client.sql("UPDATE assignment_slots SET active = active - 1 WHERE shard = :shard AND " + Rows.OF_ITERATION)
        .params(Rows.parameters(key))
        .param("shard", shard)
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

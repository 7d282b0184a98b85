package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.Crashes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.Processes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.RandomWalks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.BatchStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Random walks of a whole backend around two collectors that may crash at any effect: devices, aggregator, model updater and scheduler do
 * what they may do, in any order, twice, late or not at all. After each step the tables must make sense; at the end everything must come to
 * its end.
 *
 * <p>Each walk has a database of its own. In every third walk the locks exclude nobody, as after a pause of a process that is longer than its
 * lease.
 */
abstract class CollectorWalks extends RandomWalks {
  /**
   * Walks on an adapter of the tables.
   *
   * @param walks how many, if WALK_COUNT does not say it
   */
  CollectorWalks(TestServer server, long walks) {
    super(server, 150, walks);
  }

  @Override
  protected RandomWalks.Walk begin(TestServer server, Path folder, long seed) throws IOException {
    return new Walk(server, folder, seed);
  }

  private static final class Walk implements RandomWalks.Walk {
    private final Random random;
    private final TestBackend backend;
    private final Crashes crashes = new Crashes();
    private final CollectorSettings settings;
    private final boolean locksExclude;
    private final Database crashing;
    private final TestBackend otherLocks;
    private final List<Database> lockDatabases;
    private final Processes<TestBackend.Process> processes;
    private final long goal;
    private final long max;

    // Everything that was sent may come again.
    private final List<Message> notifications = new ArrayList<>();
    private final List<AssignmentKey> devices = new ArrayList<>();
    private final Map<String, Instant> uploads = new HashMap<>();
    private final Map<IterationKey, Message> updates = new HashMap<>();
    private Iteration iteration;

    Walk(TestServer server, Path folder, long seed) throws IOException {
      random = new Random(seed);
      locksExclude = seed % 3 != 0;
      backend = new TestBackend(server, Files.createDirectory(folder.resolve("walk" + seed)));
      goal = 3 + random.nextInt(8);
      max = goal + random.nextInt(6);
      settings = TestBackend.settings(
          1 + random.nextInt(4), random.nextInt(3) == 0 ? Optional.of((long) random.nextInt(4) + 1) : Optional.empty());
      crashing = backend.tables.over(crashes.around(backend.tables.source()));
      otherLocks = locksExclude ? backend : new TestBackend(server, Files.createDirectory(folder.resolve("locks" + seed)));
      lockDatabases = List.of(backend.database, otherLocks.database);
      processes = new Processes<>(2, this::start);
      iteration = backend.begin(goal, max);
    }

    private TestBackend.Process start(int number) {
      // The leases of one that has crashed run out.
      lockDatabases.get(number).<Integer>transact(client -> client.sql("DELETE FROM int_lock").update());
      return new TestBackend.Process(
          backend,
          settings,
          crashing,
          crashes.around(Blobs.class, backend.blobs, Set.of("exists")),
          crashes.around(Messages.class, backend.queues, Set.of("publish")),
          lockDatabases.get(number));
    }

    private void device() {
      switch (random.nextInt(3)) {
        case 0 -> backend.checkIn(iteration).ifPresent(device -> {
          devices.add(device);
          if (random.nextBoolean()) {
            report(device);
          }
          if (random.nextBoolean()) {
            upload(device);
          }
        });
        case 1 -> any(devices).ifPresent(this::report);
        default -> any(devices).ifPresent(this::upload);
      }
    }

    @Override
    public void step() {
      if (random.nextInt(6) == 0) {
        crashes.arm(random.nextInt(40));
      }
      int kind = random.nextInt(100);
      for (int times = random.nextInt(4); times >= 0; times--) {
        act(kind);
      }
      // Points that were not reached in this step are not reached in those of devices either.
      crashes.disarm();
    }

    private void act(int kind) {
      if (kind < 36) {
        device();
        device();
        device();
      } else if (kind < 44) {
        processes.run(List.of(random.nextInt(2)), process -> process.collector.pass());
      } else if (kind < 58) {
        processes.run(List.of(0, 1), process -> process.collector.pass());
      } else if (kind < 62) {
        processes.run(List.of(0, 1), process -> process.collector.timeouts());
      } else if (kind < 76) {
        any(backend.queues.aggregator).ifPresent(this::aggregate);
      } else if (kind < 82) {
        any(notifications).ifPresent(notification -> deliver(notification, random.nextInt(3) == 0));
      } else if (kind < 90) {
        any(backend.queues.modelUpdater).ifPresent(this::update);
      } else if (kind < 96) {
        schedule();
      } else if (kind < 97) {
        cancel();
      } else {
        backend.clock.advance(Duration.ofSeconds(random.nextInt(400)));
      }
    }

    private void report(AssignmentKey device) {
      AssignmentStatus result = random.nextInt(8) == 0 ? AssignmentStatus.LOCAL_FAILED : AssignmentStatus.LOCAL_COMPLETED;
      backend.assignments.report(device, result, backend.clock.instant());
    }

    private void upload(AssignmentKey device) {
      backend.upload(device);
      uploads.putIfAbsent(device.session(), backend.clock.instant());
    }

    private void aggregate(Message request) {
      switch (random.nextInt(6)) {
        case 0 -> notifications.add(TestBackend.failure(request));
        case 1 -> {
          // The second delivery fails.
          backend.aggregate(request);
          notifications.add(TestBackend.failure(request));
        }
        default -> backend.aggregate(request);
      }
      if (random.nextInt(3) != 0) {
        backend.queues.aggregator.remove(request);
      }
    }

    private void deliver(Message notification, boolean again) {
      notifications.remove(notification);
      // As long as nobody has acknowledged it, it comes again.
      boolean[] handled = new boolean[1];
      processes.run(List.of(random.nextInt(2)), process -> {
        process.failures.handle(notification);
        handled[0] = true;
      });
      if (again || !handled[0]) {
        notifications.add(notification);
      }
    }

    private void update(Message message) {
      ModelUpdaterMessage request = ModelUpdaterMessage.parse(message.data());
      IterationKey key = new IterationKey(iteration.key().task(), Long.parseLong(request.requestId()), 0);
      if (!request.serverPlanObject().startsWith(key.task() + "/")) {
        return; // of a task that has ended
      }
      if (locksExclude) {
        assertThat(message).as("the message of an iteration is the same whenever it is sent").isEqualTo(updates.getOrDefault(key, message));
        updates.put(key, message);
      }
      List<String> contributions = backend.update(message);
      assertThat(contributions).as("contributions of a model").doesNotHaveDuplicates().hasSizeGreaterThanOrEqualTo((int) goal);
      List<String> expected = new ArrayList<>();
      for (String sum : request.intermediateGradients()) {
        String batch = sum.substring(0, sum.indexOf('/'));
        assertThat(backend.batches.status(key, batch)).contains(BatchStatus.UPLOAD_COMPLETED);
        expected.addAll(backend.batches.members(key, batch));
      }
      assertThat(contributions).containsExactlyInAnyOrderElementsOf(expected);
      if (random.nextInt(3) != 0) {
        backend.queues.modelUpdater.remove(message);
      }
    }

    /** What the scheduler does. */
    private void schedule() {
      Iteration now = backend.read(iteration);
      if (now.status() == IterationStatus.APPLYING && updated(now)) {
        long next = now.key().iteration() + 1;
        backend.iterations.complete(now, Optional.of(TestBackend.settings(next, goal, max)), backend.clock.instant());
        iteration = backend.iterations.newest(now.key().task()).orElseThrow();
      } else if (now.status() == IterationStatus.AGGREGATING_FAILED) {
        backend.tasks.move(now.key().task(), TaskStatus.OPEN, TaskStatus.FAILED, backend.clock.instant());
        iteration = backend.begin(goal, max);
      }
    }

    /** What task management does, while collectors work. */
    private void cancel() {
      boolean canceled = processes.runBeside(
          () -> backend.iterations.cancel(iteration.key().task(), backend.clock.instant()), process -> process.collector.pass());
      // One that has failed is not ended before the scheduler sees it.
      assertThat(canceled).isTrue();
      iteration = backend.begin(goal, max);
    }

    private boolean updated(Iteration applying) {
      return backend.blobs.exists(backend.layout.clientCheckpoint(applying.key().task(), applying.settings().result()));
    }

    private <T> Optional<T> any(List<T> list) {
      // The newest ones: the others have mostly come to their end.
      return list.isEmpty() ? Optional.empty() : Optional.of(list.get(list.size() - 1 - random.nextInt(Math.min(list.size(), 20))));
    }

    /** What holds at any time. */
    @Override
    public void check() {
      checkHistory("assignment", "session_id", "COALESCE(row.batch_id, '')", "COALESCE(history.batch_id, '')", Set.of(
          "0", "0 1", "1 2", "2 2", "2 104", "0 102", "0 151", "1 152"));
      checkHistory("iteration", "iteration_id", "row.aggregation_level", "history.aggregation_level", Set.of(
          "0", "0 1", "1 0", "1 4", "4 50", "0 101", "1 101", "4 101", "0 102", "1 102"));
      checkHistory("aggregation_batch", "batch_id", "row.aggregation_level", "history.aggregation_level", Set.of(
          "1", "1 2", "2 3", "2 101"));
      assertThat(backend.rows("""
          SELECT * FROM (
            SELECT population_name, task_id, iteration_id, CAST(SUM(active) AS bigint) AS slots, MIN(active) AS least,
                MAX(active - capacity) AS over
            FROM assignment_slots GROUP BY population_name, task_id, iteration_id) AS slots
          NATURAL JOIN (SELECT population_name, task_id, iteration_id, max_aggregation_size FROM iteration) AS iteration
          LEFT JOIN (
            SELECT population_name, task_id, iteration_id, COUNT(*) AS active
            FROM assignment WHERE status <= 99 GROUP BY population_name, task_id, iteration_id) AS counted
          USING (population_name, task_id, iteration_id)
          WHERE slots <> COALESCE(active, 0) OR least < 0 OR over > 0 OR slots > max_aggregation_size
          """)).as("slots are the active assignments, and never more than there may be").isEmpty();
      assertThat(backend.rows("""
          SELECT batch_id, status, batch_size, members, failed FROM aggregation_batch
          LEFT JOIN (
            SELECT batch_id, COUNT(*) AS members, COUNT(*) FILTER (WHERE status = 104) AS failed,
                COUNT(*) FILTER (WHERE status NOT IN (2, 104)) AS others
            FROM assignment WHERE batch_id IS NOT NULL GROUP BY batch_id) AS counted
          USING (batch_id)
          WHERE members IS DISTINCT FROM batch_size OR others > 0 OR failed <> CASE status WHEN 101 THEN batch_size ELSE 0 END
          """)).as("batches are as large as they say, and fail as a whole").isEmpty();
      assertThat(backend.rows("SELECT batch_id FROM assignment LEFT JOIN aggregation_batch USING (batch_id)"
          + " WHERE assignment.batch_id IS NOT NULL AND aggregation_batch.status IS NULL")).as("batches that are none").isEmpty();
      assertThat(backend.rows("""
          SELECT iteration_id, report_goal, aggregated FROM iteration
          LEFT JOIN (
            SELECT population_name, task_id, iteration_id, SUM(batch_size) AS aggregated
            FROM aggregation_batch WHERE status = 3 GROUP BY population_name, task_id, iteration_id) AS batches
          USING (population_name, task_id, iteration_id)
          WHERE status IN (4, 50) AND COALESCE(aggregated, 0) < report_goal
          """)).as("iterations that are applied without enough contributions").isEmpty();
      for (Map<String, Object> row : backend.rows("SELECT session_id, status, status_time FROM assignment WHERE status IN (2, 152)")) {
        Instant upload = uploads.get((String) row.get("session_id"));
        if ((long) row.get("status") == AssignmentStatus.UPLOAD_COMPLETED.code()) {
          assertThat(upload).as("upload of %s", row).isNotNull();
        } else if (upload != null) {
          // Lost is only what came too late.
          Instant timeout = ((java.sql.Timestamp) row.get("status_time")).toInstant();
          assertThat(upload).as("upload of %s", row).isAfterOrEqualTo(timeout);
        }
      }
    }

    /** Each step has one row, numbered without holes, and is one that there is; the last row says what the table says. */
    private void checkHistory(String table, String id, String extra, String historyExtra, Set<String> steps) {
      String key = "population_name, task_id, iteration_id, attempt_id"
          + (id.equals("iteration_id") ? "" : ", " + id);
      List<Map<String, Object>> rows = backend.rows("""
          SELECT * FROM (
            SELECT history.status_id, history.status AS recorded, %5$s AS recorded_extra, row.status, %4$s AS extra,
                ROW_NUMBER() OVER (PARTITION BY %3$s ORDER BY history.status_id) AS number,
                COUNT(*) OVER (PARTITION BY %3$s) AS total,
                LAG(history.status) OVER (PARTITION BY %3$s ORDER BY history.status_id) AS before,
                LAG(history.created_time) OVER (PARTITION BY %3$s ORDER BY history.status_id) > history.created_time AS backward
            FROM %1$s AS row LEFT JOIN %1$s_status_history AS history USING (%3$s)) AS steps
          """.formatted(table, id, key, extra, historyExtra));
      Set<String> seen = new HashSet<>();
      for (Map<String, Object> row : rows) {
        assertThat(row.get("status_id")).as("number in the history of %s: %s", table, row).isEqualTo(row.get("number"));
        assertThat(row.get("backward")).as("%s goes back in time: %s", table, row).isNotEqualTo(true);
        if (row.get("number").equals(row.get("total"))) {
          assertThat(row.get("recorded")).as("last row of %s: %s", table, row).isEqualTo(row.get("status"));
          assertThat(row.get("recorded_extra")).as("last row of %s: %s", table, row).isEqualTo(row.get("extra"));
        }
        seen.add((row.get("before") == null ? "" : row.get("before") + " ") + row.get("recorded"));
      }
      assertThat(steps).as("steps of %s", table).containsAll(seen);
    }

    /** Nothing crashes any more, and everybody does their work: then the iteration comes to its end, whatever has been. */
    @Override
    public void finish() throws Exception {
      crashes.disarm();
      processes.restart(0);
      processes.restart(1);
      // What failed rests for a minute at most.
      backend.clock.advance(Duration.ofMinutes(2));
      for (int round = 0; round < 200; round++) {
        for (Message request : List.copyOf(backend.queues.aggregator)) {
          backend.aggregate(request);
          backend.queues.aggregator.remove(request);
        }
        for (Message notification : List.copyOf(notifications)) {
          processes.get(0).failures.handle(notification);
          notifications.remove(notification);
        }
        processes.get(round % 2).collector.pass();
        List.copyOf(backend.queues.modelUpdater).forEach(this::update);
        check();
        checkCollected();
        Iteration now = backend.read(iteration);
        if (now.status() == IterationStatus.AGGREGATING_FAILED || now.status() == IterationStatus.APPLYING && updated(now)) {
          return;
        }
        Optional<AssignmentKey> device = backend.checkIn(now);
        device.ifPresent(key -> {
          devices.add(key);
          backend.report(key);
          upload(key);
        });
        if (device.isEmpty()) {
          backend.clock.advance(TestBackend.UPLOAD);
          processes.get(0).collector.timeouts();
        }
      }
      throw new AssertionError("the iteration does not come to its end: " + backend.read(iteration));
    }

    /** After a pass nothing that counts is left lying. */
    private void checkCollected() {
      Iteration now = backend.read(iteration);
      if (now.status() != IterationStatus.COLLECTING) {
        return;
      }
      assertThat(backend.assignments.waiting(now.key(), AssignmentStatus.LOCAL_COMPLETED, Optional.empty(), 100))
          .noneMatch(waiting -> uploads.containsKey(waiting.session()));
      assertThat(backend.assignments.waiting(now.key(), AssignmentStatus.UPLOAD_COMPLETED, Optional.empty(), 100))
          .hasSizeLessThan(settings.batchSize());
      assertThat(backend.batches.withStatus(now.key(), BatchStatus.FULL, "", 100)).isEmpty();
    }

    @Override
    public String toString() {
      return processes.crashes() + " crashes, histories " + String.join(", ", Stream.of("assignment", "aggregation_batch", "iteration")
          .map(table -> table + " " + backend.rows("SELECT status, COUNT(*) AS count FROM " + table
                  + "_status_history GROUP BY status ORDER BY status")
              .stream()
              .map(row -> row.get("status") + ":" + row.get("count"))
              .toList())
          .toList());
    }

    @Override
    public void close() {
      processes.close();
      otherLocks.close();
      backend.close();
    }
  }
}

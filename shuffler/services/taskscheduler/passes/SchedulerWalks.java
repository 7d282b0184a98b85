package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.Crashes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.Processes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.RandomWalks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ActiveTaskException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EveryKHoursCheckpointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EveryKIterationsCheckpointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Random walks around two schedulers that may crash at any effect: task builder, collector and model updater do what they may do, in any
 * order. After each step the tables and blobs must make sense; at the end every task must come to its end. Each walk has databases of its
 * own.
 */
abstract class SchedulerWalks extends RandomWalks {
  /**
   * Walks on an adapter of the tables.
   *
   * @param walks how many, if WALK_COUNT does not say it
   */
  SchedulerWalks(TestServer server, long walks) {
    super(server, 120, walks);
  }

  @Override
  protected RandomWalks.Walk begin(TestServer server, Path folder, long seed) throws IOException {
    return new Walk(server, folder, seed);
  }

  private static final class Walk implements RandomWalks.Walk {
    private final Random random;
    private final Crashes crashes = new Crashes();
    private final TestBackend backend;
    private final Database crashing;
    private final Database crashingMetrics;
    private final Processes<TestBackend.Process> processes;
    private final List<TaskKey> created = new ArrayList<>();

    Walk(TestServer server, Path folder, long seed) throws IOException {
      random = new Random(seed);
      backend = new TestBackend(server, Files.createDirectory(folder.resolve("walk" + seed)));
      crashing = backend.tables.over(crashes.around(backend.tables.source()));
      crashingMetrics = backend.metricTables.over(crashes.around(backend.metricTables.source()));
      processes = new Processes<>(2, this::start);
    }

    private TestBackend.Process start(int number) {
      // The leases of one that has crashed run out.
      backend.database.<Integer>transact(client -> client.sql("DELETE FROM int_lock").update());
      return new TestBackend.Process(
          backend,
          crashing,
          crashingMetrics,
          crashes.around(Blobs.class, backend.blobs, Set.of("write", "read")),
          TestBackend::clientCheckpoint,
          new Random(random.nextLong()),
          backend.database);
    }

    @Override
    public void step() {
      if (random.nextInt(3) == 0) {
        crashes.arm(random.nextInt(30));
      }
      int kind = random.nextInt(100);
      if (kind < 10) {
        create();
      } else if (kind < 18) {
        any(created).ifPresent(this::upload);
      } else if (kind < 30) {
        run(List.of(random.nextInt(2)), Scheduler::pass);
      } else if (kind < 50) {
        run(List.of(0, 1), Scheduler::pass);
      } else if (kind < 58) {
        run(List.of(0, 1), Scheduler::postProcess);
      } else if (kind < 90) {
        any(created).flatMap(backend.iterations::newest).ifPresent(this::collectOrUpdate);
      } else if (kind < 94) {
        any(created).ifPresent(this::cancel);
      } else {
        backend.advance(Duration.ofMinutes(random.nextInt(random.nextInt(5) == 0 ? 1500 : 60)));
      }
      // Points that were not reached in this step are reached by nobody else.
      crashes.disarm();
    }

    private void create() {
      String population = "p" + random.nextInt(3);
      Optional<Instant> none = Optional.empty();
      Optional<Instant> end = random.nextInt(4) == 0 ? Optional.of(backend.clock.instant().plusSeconds(random.nextInt(7200))) : none;
      Optional<Instant> start = random.nextInt(4) == 0 ? Optional.of(backend.clock.instant().plusSeconds(random.nextInt(7200))) : none;
      try {
        TaskKey task = backend.create(population, new Task.Settings(
            1 + random.nextInt(4), 1, 1, start, end, none, random.nextInt(6) == 0 ? end : none, 0, "", TestBackend.VERSIONS, info()));
        created.add(task);
        if (random.nextBoolean()) {
          upload(task);
        }
      } catch (ActiveTaskException full) {
        assertThat(created).isNotEmpty();
      }
    }

    private TaskInfo info() {
      List<TaskKey> trainings = created.stream().filter(task -> !evaluates(task)).toList();
      if (trainings.isEmpty() || random.nextBoolean()) {
        return TestBackend.TRAINING;
      }
      long size = 1 + random.nextInt(3);
      return TestBackend.evaluation(any(trainings).orElseThrow(), random.nextBoolean()
          ? CheckPointSelector.newBuilder().setIterationSelector(EveryKIterationsCheckpointSelector.newBuilder().setSize(size))
          : CheckPointSelector.newBuilder().setDurationSelector(EveryKHoursCheckpointSelector.newBuilder().setHours(size)));
    }

    private void upload(TaskKey task) {
      if (!backend.blobs.exists(backend.layout.clientPlan(task))) {
        backend.upload(task, evaluates(task));
      }
    }

    private boolean evaluates(TaskKey task) {
      return backend.tasks.find(task).orElseThrow().settings().evaluates();
    }

    /** What the collector and the model updater do. */
    private void collectOrUpdate(Iteration iteration) {
      if (random.nextInt(20) == 0 && iteration.status().active()) {
        backend.iterations.move(
            iteration, IterationStatus.AGGREGATING_FAILED, iteration.aggregationLevel(), backend.clock.instant());
      } else if (iteration.status() == IterationStatus.COLLECTING) {
        backend.collect(iteration);
      } else if (iteration.status() == IterationStatus.APPLYING) {
        backend.update(iteration);
      }
    }

    /** What task management does, while schedulers work. */
    private void cancel(TaskKey task) {
      processes.runBeside(
          () -> backend.iterations.cancel(task, backend.clock.instant()), process -> process.scheduler.pass());
      assertThat(backend.status(task)).isIn(TaskStatus.CANCELED, TaskStatus.COMPLETED, TaskStatus.FAILED);
    }

    private void run(List<Integer> which, Consumer<Scheduler> work) {
      processes.run(which, process -> work.accept(process.scheduler));
    }

    private <T> Optional<T> any(List<T> list) {
      // The newest ones: the others have mostly come to their end.
      return list.isEmpty() ? Optional.empty() : Optional.of(list.get(list.size() - 1 - random.nextInt(Math.min(list.size(), 8))));
    }

    /** What holds at any time. */
    @Override
    public void check() {
      checkHistory("task", "population_name, task_id", 0, Set.of("2", "2 0", "2 1", "2 101", "0 1", "0 101", "0 102"));
      checkHistory("iteration", "population_name, task_id, iteration_id, attempt_id", 1, Set.of(
          "0", "0 1", "1 4", "4 50", "50 51", "0 101", "1 101", "4 101", "0 102", "1 102", "4 102"));
      assertThat(backend.rows("""
          SELECT * FROM (
            SELECT population_name, task_id, COUNT(*) AS count, MIN(iteration_id) AS first, MAX(iteration_id) AS last,
                COUNT(*) FILTER (WHERE status <= 49) AS active,
                MAX(iteration_id) FILTER (WHERE status > 51) AS failed,
                COUNT(*) FILTER (WHERE status = 101) AS canceled
            FROM iteration GROUP BY population_name, task_id) AS counted
          JOIN task USING (population_name, task_id)
          WHERE first <> 1 OR last <> count OR count > total_iteration OR active > 1 OR failed < last
              OR status = 2 OR (status IN (1, 101, 102) AND active > 0) OR (status = 102 AND failed IS NULL)
              OR (status = 1 AND failed IS NOT NULL) OR (status <> 101 AND canceled > 0)
          """)).as("tasks whose iterations make no sense").isEmpty();
      assertThat(backend.rows("""
          SELECT * FROM iteration_status_history AS history JOIN task USING (population_name, task_id)
          WHERE history.status_id = 1 AND (history.created_time >= stop_time OR history.created_time > do_not_create_iteration_after
              OR history.created_time < start_task_no_earlier_than)
          """)).as("iterations that began out of time").isEmpty();
      for (TaskKey task : created) {
        if (backend.iterations.newest(task).isPresent()) {
          checkIterations(task);
        }
      }
    }

    /** What devices download is there, and what it should be. */
    private void checkIterations(TaskKey task) {
      String plan = "plan of " + task;
      Iteration newest = backend.newest(task);
      Iteration.Settings settings = newest.settings();
      long number = newest.key().iteration();
      BlobName client = backend.layout.clientCheckpoint(task, settings.baseOnResult());
      assertThat(settings.result()).isEqualTo(number);
      if (evaluates(task)) {
        long evaluated = settings.info().getEvaluationTrainingIterationId();
        TaskKey training = Candidates.source(backend.tasks.find(task).orElseThrow());
        assertThat(settings.baseOnResult()).isEqualTo(number);
        assertThat(backend.read(client)).isEqualTo("client checkpoint of checkpoint " + evaluated + " of " + training + " by " + plan);
        Instant begun = time(newest, IterationStatus.COLLECTING);
        Instant completed = time(
            backend.iterations.find(new IterationKey(training, evaluated, 0)).orElseThrow(),
            IterationStatus.COMPLETED);
        assertThat(Duration.between(completed, begun)).isBetween(Duration.ZERO, Duration.ofHours(24));
      } else {
        assertThat(settings.baseOnResult()).isEqualTo(number - 1);
        assertThat(backend.read(client)).isEqualTo(
            number == 1 ? "client checkpoint of checkpoint 0 of " + task + " by " + plan : "client checkpoint " + (number - 1));
      }
    }

    private Instant time(Iteration iteration, IterationStatus status) {
      return backend.database.query(client -> client.sql("""
          SELECT created_time FROM iteration_status_history
          WHERE population_name = ? AND task_id = ? AND iteration_id = ? AND status = ?
          """)
          .params(
              iteration.key().population(), iteration.key().task().task(), iteration.key().iteration(), status.code())
          .query((row, number) -> row.getTimestamp(1).toInstant())
          .single());
    }

    /** Each step has one row, numbered without holes, and is one that there is; the last row says what the table says. */
    private void checkHistory(String table, String key, long first, Set<String> steps) {
      Set<String> seen = new TreeSet<>();
      for (Map<String, Object> row : backend.rows("""
          SELECT history.status_id, history.status AS recorded, row.status,
              ROW_NUMBER() OVER (PARTITION BY %2$s ORDER BY history.status_id) AS number,
              COUNT(*) OVER (PARTITION BY %2$s) AS total,
              LAG(history.status) OVER (PARTITION BY %2$s ORDER BY history.status_id) AS before
          FROM %1$s AS row LEFT JOIN %1$s_status_history AS history USING (%2$s)
          """.formatted(table, key))) {
        assertThat(row.get("status_id")).as("number in the history of %s: %s", table, row).isEqualTo((long) row.get("number") + first - 1);
        if (row.get("number").equals(row.get("total"))) {
          assertThat(row.get("recorded")).as("last row of %s: %s", table, row).isEqualTo(row.get("status"));
        }
        seen.add((row.get("before") == null ? "" : row.get("before") + " ") + row.get("recorded"));
      }
      assertThat(steps).as("steps of %s", table).containsAll(seen);
    }

    /** Nothing crashes any more, and everybody does their work: then all tasks come to their end, whatever has been. */
    @Override
    public void finish() {
      crashes.disarm();
      processes.restart(0);
      processes.restart(1);
      for (int round = 0; round < 100 && !active().isEmpty(); round++) {
        // Past what rests, and what is to begin later.
        backend.advance(Duration.ofMinutes(2));
        active().forEach(this::upload);
        processes.get(round % 2).scheduler.pass();
        for (TaskKey task : active()) {
          backend.iterations.newest(task).filter(found -> found.status().active()).ifPresent(found -> {
            if (found.status() == IterationStatus.COLLECTING) {
              backend.collect(found);
            }
            backend.update(backend.newest(task));
          });
        }
      }
      processes.get(0).scheduler.postProcess();
      // An evaluation of a training that has nothing new waits.
      assertThat(active()).allSatisfy(task -> {
        assertThat(evaluates(task)).isTrue();
        assertThat(new Candidates(backend.iterations, backend.clock).of(backend.tasks.find(task).orElseThrow())).isEmpty();
      });
      Set<String> expected = backend.rows("SELECT * FROM iteration WHERE status = 51").stream()
          .map(row -> row.get("population_name") + "/" + row.get("task_id") + "/" + row.get("iteration_id") + " loss")
          .collect(Collectors.toSet());
      assertThat(backend.metrics().keySet()).containsAll(expected);
      assertThat(backend.rows("SELECT * FROM iteration WHERE status = 50")).isEmpty();
    }

    private List<TaskKey> active() {
      return Stream.of(TaskStatus.CREATED, TaskStatus.OPEN)
          .flatMap(status -> backend.tasks.withStatus(status, 1000).stream())
          .map(Task::key)
          .toList();
    }

    @Override
    public String toString() {
      return created.size() + " tasks, " + backend.rows("SELECT * FROM iteration").size() + " iterations, of which "
          + backend.rows("SELECT * FROM iteration WHERE CAST(info AS text) LIKE '%evaluationTrainingIterationId%'").size()
          + " evaluate, " + processes.crashes() + " crashes";
    }

    @Override
    public void close() {
      processes.close();
      backend.close();
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestDatabase;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ModelMetrics;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BinaryOperator;
import java.util.random.RandomGenerator;

/** What surrounds schedulers: real tables and blobs, a clock that a test turns, and stand-ins for those who upload and aggregate. */
final class TestBackend implements AutoCloseable {
  static final Instant START = Instant.parse("2026-01-02T03:04:05Z");
  static final ClientVersions VERSIONS = new ClientVersions("10", "20");
  static final TaskInfo TRAINING =
      TaskInfo.newBuilder().setTrafficWeight(7).setTrainingInfo(TrainingInfo.getDefaultInstance()).build();
  static final String BROKEN = "broken";

  final AtomicReference<Instant> now = new AtomicReference<>(START);
  final Clock clock = ((InstantSource) now::get).withZone(ZoneOffset.UTC);
  final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  final BlobLayout layout = new BlobLayout("fcp-test-m-%s", "fcp-test-g-%s", "fcp-test-a-%s");
  final TestDatabase tables;
  final TestDatabase metricTables;
  final Database database;
  final Tasks tasks;
  final Iterations iterations;
  final FileBlobs blobs;

  TestBackend(TestServer server, Path folder) {
    tables = server.newDatabase(Schema.TASKS::migrate);
    metricTables = server.newDatabase(Schema.METRICS::migrate);
    database = tables.database();
    tasks = new Tasks(database);
    iterations = new Iterations(database);
    blobs = new FileBlobs(folder, new LocalUrls(URI.create("http://localhost"), new byte[32], clock), 1 << 20);
  }

  /** Says what a client checkpoint was made of. */
  static byte[] clientCheckpoint(byte[] plan, byte[] checkpoint) {
    if (text(plan).equals(BROKEN)) {
      throw new IllegalArgumentException("a broken plan");
    }
    return bytes("client checkpoint of " + text(checkpoint) + " by " + text(plan));
  }

  /** A scheduler's process: what it has in its memory goes away with it. */
  static final class Process implements AutoCloseable {
    final Scheduler scheduler;
    private final Locks locks;

    Process(
        TestBackend backend,
        Database database,
        Database metrics,
        Blobs blobs,
        BinaryOperator<byte[]> clientCheckpoint,
        RandomGenerator random,
        Database lockDatabase) {
      Tasks tasks = new Tasks(database);
      Iterations iterations = new Iterations(database);
      Transitions transitions = new Transitions(tasks, iterations, backend.meters, backend.clock);
      Artifacts artifacts = new Artifacts(blobs, backend.layout, clientCheckpoint);
      locks = new Locks(lockDatabase);
      scheduler = new Scheduler(
          tasks,
          iterations,
          new Opening(artifacts, transitions, backend.clock),
          new Rounds(iterations, artifacts, new Candidates(iterations, backend.clock), transitions, random, backend.clock),
          new PostProcessing(new ModelMetrics(metrics), blobs, backend.layout, transitions, backend.clock),
          locks,
          backend.meters,
          backend.clock);
    }

    @Override
    public void close() {
      locks.close();
    }
  }

  Process process(RandomGenerator random) {
    return new Process(this, database, metricTables.database(), blobs, TestBackend::clientCheckpoint, random, database);
  }

  static TaskInfo evaluation(TaskKey training, CheckPointSelector.Builder selector) {
    return TaskInfo.newBuilder()
        .setEvaluationInfo(EvaluationInfo.newBuilder()
            .setTrainingPopulationName(training.population())
            .setTrainingTaskId(training.task())
            .setCheckPointSelector(selector))
        .build();
  }

  static Task.Settings settings(long total, TaskInfo info) {
    return new Task.Settings(
        total, 2, 5, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), 0, "", VERSIONS, info);
  }

  TaskKey create(String population, Task.Settings settings) {
    return tasks.create(population, settings, clock.instant()).key();
  }

  /** A task with all that the task builder uploads. */
  TaskKey createWithArtifacts(String population, Task.Settings settings) {
    TaskKey key = create(population, settings);
    upload(key, settings.evaluates());
    return key;
  }

  void upload(TaskKey key, boolean evaluates) {
    write(layout.clientPlan(key), "client plan");
    write(layout.serverPlan(key), "plan of " + key);
    if (!evaluates) {
      write(layout.checkpoint(key, 0), "checkpoint 0 of " + key);
    }
  }

  /** What the collector does until the model updater is asked. */
  void collect(Iteration iteration) {
    iterations.move(iteration, IterationStatus.AGGREGATING, 1, clock.instant());
    iterations.move(newest(iteration.key().task()), IterationStatus.APPLYING, 2, clock.instant());
  }

  /** What the model updater does. */
  void update(Iteration iteration) {
    TaskKey task = iteration.key().task();
    long result = iteration.settings().result();
    boolean evaluates = iteration.settings().info().getTaskInfo().hasEvaluationInfo();
    if (!evaluates) {
      write(layout.checkpoint(task, result), "checkpoint " + result + " of " + task);
    }
    write(layout.metrics(task, result), "{\"loss\":" + 1.0 / result + "}");
    if (!evaluates) {
      write(layout.clientCheckpoint(task, result), "client checkpoint " + result);
    }
  }

  /** A round after which the scheduler has something to do. */
  Iteration round(TaskKey task) {
    Iteration iteration = newest(task);
    collect(iteration);
    update(iteration);
    return iteration;
  }

  Iteration newest(TaskKey task) {
    return iterations.newest(task).orElseThrow();
  }

  TaskStatus status(TaskKey task) {
    return tasks.find(task).orElseThrow().status();
  }

  void advance(Duration time) {
    now.updateAndGet(instant -> instant.plus(time));
  }

  void write(BlobName name, String text) {
    blobs.write(name, bytes(text));
  }

  String read(BlobName name) {
    try {
      return text(blobs.read(name));
    } catch (BlobNotFoundException missing) {
      throw new AssertionError(missing);
    }
  }

  /** Rows of the task database. */
  List<Map<String, Object>> rows(String sql) {
    return database.query(client -> client.sql(sql).query().listOfRows());
  }

  /** The metrics that are stored, such as {@code p/1/1 loss}. */
  Map<String, Double> metrics() {
    Map<String, Double> found = new TreeMap<>();
    metricTables.database().query(client -> client.sql("SELECT * FROM model_metrics").query((row, number) -> found.put(
        row.getString("population_name") + "/" + row.getLong("task_id") + "/" + row.getLong("iteration_id") + " "
            + row.getString("metric_name"),
        row.getDouble("metric_value"))).list());
    return found;
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    tables.close();
    metricTables.close();
  }
}

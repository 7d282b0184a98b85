package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EveryKHoursCheckpointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EveryKIterationsCheckpointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.io.ByteArrayInputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.LoggerFactory;

class SchedulerTest {
  private static final TaskKey FIRST = new TaskKey("p", 1);

  @RegisterExtension static final PostgresServer postgres = new PostgresServer();

  @TempDir Path folder;
  private TestBackend backend;
  private TestBackend.Process process;
  private Scheduler scheduler;
  private final ListAppender<ILoggingEvent> log = new ListAppender<>();

  @BeforeEach
  void start() {
    backend = new TestBackend(postgres, folder);
    process = backend.process(new Random(1));
    scheduler = process.scheduler;
    log.start();
    logger().addAppender(log);
  }

  @AfterEach
  void stop() {
    logger().detachAppender(log);
    process.close();
    backend.close();
  }

  private static Logger logger() {
    return (Logger) LoggerFactory.getLogger(Scheduler.class.getPackageName());
  }

  private List<String> warnings() {
    return log.list.stream()
        .filter(event -> event.getLevel().levelStr.equals("WARN"))
        .map(ILoggingEvent::getFormattedMessage)
        .toList();
  }

  private void passes(int count) {
    for (int i = 0; i < count; i++) {
      scheduler.pass();
    }
  }

  private TaskKey training(long total) {
    return backend.createWithArtifacts("p", TestBackend.settings(total, TestBackend.TRAINING));
  }

  private static CheckPointSelector.Builder everyIterations(long size) {
    return CheckPointSelector.newBuilder().setIterationSelector(EveryKIterationsCheckpointSelector.newBuilder().setSize(size));
  }

  private static CheckPointSelector.Builder everyHours(long hours) {
    return CheckPointSelector.newBuilder().setDurationSelector(EveryKHoursCheckpointSelector.newBuilder().setHours(hours));
  }

  private static Task.Settings times(
      Optional<Instant> notBefore, Optional<Instant> notAfter, Optional<Instant> start, Optional<Instant> stop, TaskInfo info) {
    return new Task.Settings(9, 2, 5, notBefore, notAfter, start, stop, 0, "", TestBackend.VERSIONS, info);
  }

  @Test
  void trainingIsOpenedWhenDevicesCanDownloadSomething() {
    TaskKey task = backend.create("p", TestBackend.settings(1, TestBackend.TRAINING));
    backend.write(backend.layout.checkpoint(task, 0), "checkpoint");
    scheduler.pass();
    assertThat(backend.status(task)).isEqualTo(TaskStatus.CREATED);
    backend.write(backend.layout.serverPlan(task), "plan");
    scheduler.pass();
    assertThat(backend.status(task)).isEqualTo(TaskStatus.OPEN);
    assertThat(backend.read(backend.layout.clientCheckpoint(task, 0))).isEqualTo("client checkpoint of checkpoint by plan");
    // What devices run is not there yet.
    passes(2);
    assertThat(backend.iterations.newest(task)).isEmpty();
    backend.write(backend.layout.clientPlan(task), "client plan");
    scheduler.pass();
    assertThat(backend.newest(task).status()).isEqualTo(IterationStatus.COLLECTING);
  }

  @Test
  void evaluationIsOpenedAtOnce() {
    TaskKey task = backend.create("p", TestBackend.settings(1, TestBackend.evaluation(new TaskKey("q", 7), everyIterations(1))));
    scheduler.pass();
    assertThat(backend.status(task)).isEqualTo(TaskStatus.OPEN);
    assertThat(warnings()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void noTaskIsOpenedBeforeItsTime(boolean asStartTime) {
    Optional<Instant> start = Optional.of(TestBackend.START.plusSeconds(10));
    Optional<Instant> none = Optional.empty();
    TaskKey task = backend.createWithArtifacts(
        "p", times(asStartTime ? none : start, none, asStartTime ? start : none, none, TestBackend.TRAINING));
    passes(2);
    assertThat(backend.status(task)).isEqualTo(TaskStatus.CREATED);
    backend.advance(Duration.ofSeconds(10));
    scheduler.pass();
    assertThat(backend.status(task)).isEqualTo(TaskStatus.OPEN);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void taskThatIsOverBeginsNoIteration(boolean asStopTime) {
    Optional<Instant> end = Optional.of(TestBackend.START.plusSeconds(10));
    Optional<Instant> none = Optional.empty();
    Task.Settings settings = times(none, asStopTime ? none : end, none, asStopTime ? end : none, TestBackend.TRAINING);
    TaskKey goesOn = backend.createWithArtifacts("p", settings);
    TaskKey neverBegan = backend.create("q", settings);
    TaskKey waits = backend.createWithArtifacts("r", times(
        none, asStopTime ? none : end, none, asStopTime ? end : none, TestBackend.evaluation(FIRST, everyIterations(1))));
    passes(2);
    Iteration iteration = backend.newest(goesOn);
    assertThat(backend.status(waits)).isEqualTo(TaskStatus.OPEN);

    backend.advance(Duration.ofSeconds(11));
    passes(2);
    assertThat(backend.status(goesOn)).as("its iteration goes on").isEqualTo(TaskStatus.OPEN);
    assertThat(backend.status(neverBegan)).isEqualTo(TaskStatus.COMPLETED);
    assertThat(backend.status(waits)).isEqualTo(TaskStatus.COMPLETED);
    backend.round(goesOn);
    scheduler.pass();
    assertThat(backend.status(goesOn)).isEqualTo(TaskStatus.COMPLETED);
    assertThat(backend.newest(goesOn).key()).isEqualTo(iteration.key());
    assertThat(backend.newest(goesOn).status()).isEqualTo(IterationStatus.COMPLETED);
    // The populations are free for other tasks.
    backend.create("p", settings);
  }

  @Test
  void whatWasUploadedWithoutCompressionIsCompressed() throws Exception {
    TaskKey task = training(1);
    List<BlobName> names =
        List.of(backend.layout.clientPlan(task), backend.layout.serverPlan(task), backend.layout.checkpoint(task, 0));
    for (BlobName name : names) {
      backend.blobs.store(name, Encoding.IDENTITY, new ByteArrayInputStream(TestBackend.bytes("not compressed")));
    }
    passes(2);
    assertThat(backend.newest(task).status()).isEqualTo(IterationStatus.COLLECTING);
    for (BlobName name : names) {
      assertThat(backend.blobs.encoding(name)).isEqualTo(Encoding.GZIP);
      assertThat(backend.read(name)).isEqualTo("not compressed");
    }
  }

  @Test
  void trainingGoesFromIterationToIteration() {
    TaskKey task = training(3);
    passes(2);
    for (long number = 1; number <= 3; number++) {
      Iteration iteration = backend.newest(task);
      assertThat(iteration).isEqualTo(new Iteration(
          new IterationKey(task, number, 0),
          IterationStatus.COLLECTING,
          0,
          new Iteration.Settings(number - 1, number - 1, number, 2, 5, TestBackend.VERSIONS,
              IterationInfo.newBuilder().setTaskInfo(TestBackend.TRAINING).build())));
      assertThat(backend.status(task)).isEqualTo(TaskStatus.OPEN);
      passes(2);
      assertThat(backend.newest(task)).isEqualTo(iteration);
      backend.round(task);
      scheduler.pass();
    }
    assertThat(backend.status(task)).isEqualTo(TaskStatus.COMPLETED);
    passes(2);
    assertThat(backend.newest(task).key().iteration()).isEqualTo(3);
    assertThat(backend.rows("SELECT status FROM task_status_history ORDER BY status_id"))
        .extracting(row -> row.get("status")).containsExactly(2L, 0L, 1L);
    assertThat(backend.meters.get("scheduler-iterations").tag("status", "COMPLETED").counter().count()).isEqualTo(3);
    assertThat(backend.meters.get("scheduler-tasks").tag("status", "COMPLETED").counter().count()).isEqualTo(1);
  }

  @Test
  void iterationIsCompletedWhenAllOutputsAreThere() {
    TaskKey task = training(2);
    passes(2);
    Iteration iteration = backend.newest(task);
    backend.collect(iteration);
    for (BlobName output : List.of(
        backend.layout.metrics(task, 1), backend.layout.clientCheckpoint(task, 1), backend.layout.checkpoint(task, 1))) {
      scheduler.pass();
      assertThat(backend.newest(task).status()).isEqualTo(IterationStatus.APPLYING);
      backend.write(output, "{}");
    }
    scheduler.pass();
    assertThat(backend.newest(task).key().iteration()).isEqualTo(2);
  }

  @Test
  void modelUpdaterThatTakesLongIsToldOnceAMinute() {
    TaskKey task = training(2);
    passes(2);
    backend.collect(backend.newest(task));
    backend.advance(Duration.ofMinutes(5));
    passes(2);
    assertThat(warnings()).isEmpty();
    backend.advance(Duration.ofSeconds(1));
    passes(5);
    assertThat(warnings()).containsExactly("iteration p/1/1/0: the model updater has not finished after 5 minutes");
    backend.advance(Duration.ofSeconds(60));
    passes(5);
    assertThat(warnings()).hasSize(2);
  }

  @ParameterizedTest
  @EnumSource(names = {"AGGREGATING_FAILED", "APPLYING_FAILED", "CANCELED"})
  void failedIterationFailsTheTask(IterationStatus failure) {
    TaskKey task = training(2);
    passes(2);
    backend.iterations.move(backend.newest(task), failure, 0, backend.clock.instant());
    passes(2);
    assertThat(backend.status(task)).isEqualTo(TaskStatus.FAILED);
    assertThat(backend.newest(task).key().iteration()).isEqualTo(1);
  }

  @Test
  void canceledTaskIsLeftAloneAndWhatItCompletedIsEvaluated() {
    TaskKey training = training(4);
    TaskKey waits = backend.create("q", TestBackend.settings(1, TestBackend.TRAINING));
    passes(2);
    backend.round(training);
    scheduler.pass();
    backend.round(training);
    for (TaskKey task : List.of(training, waits)) {
      assertThat(backend.iterations.cancel(task, backend.clock.instant())).isTrue();
    }
    backend.upload(waits, false);
    TaskKey evaluation =
        backend.createWithArtifacts("p", TestBackend.settings(9, TestBackend.evaluation(training, everyIterations(1))));
    passes(3);
    scheduler.postProcess();
    // Its result is there, and nobody takes it.
    assertThat(backend.newest(training).key().iteration()).isEqualTo(2);
    assertThat(backend.newest(training).status()).isEqualTo(IterationStatus.CANCELED);
    assertThat(backend.metrics()).containsOnlyKeys("p/1/1 loss");
    assertThat(List.of(training, waits)).allSatisfy(task -> assertThat(backend.status(task)).isEqualTo(TaskStatus.CANCELED));
    assertThat(backend.iterations.newest(waits)).isEmpty();
    assertThat(new Candidates(backend.iterations, backend.clock).of(backend.tasks.find(evaluation).orElseThrow())).containsExactly(1L);

    backend.iterations.cancel(evaluation, backend.clock.instant());
    passes(2);
    assertThat(backend.status(evaluation)).isEqualTo(TaskStatus.CANCELED);
    assertThat(backend.newest(evaluation).status()).isEqualTo(IterationStatus.CANCELED);
    assertThat(warnings()).isEmpty();
  }

  @Test
  void taskWithoutIterationsStaysOpen() {
    TaskKey task = training(0);
    passes(3);
    assertThat(backend.status(task)).isEqualTo(TaskStatus.OPEN);
    assertThat(backend.iterations.newest(task)).isEmpty();
  }

  @Test
  void brokenTaskRestsLongerAndLongerAndStopsNobody() {
    TaskKey broken = backend.createWithArtifacts("a", TestBackend.settings(1, TestBackend.TRAINING));
    backend.write(backend.layout.serverPlan(broken), TestBackend.BROKEN);
    TaskKey good = backend.createWithArtifacts("b", TestBackend.settings(1, TestBackend.TRAINING));
    passes(2);
    assertThat(backend.newest(good).status()).isEqualTo(IterationStatus.COLLECTING);
    assertThat(warnings()).containsExactly("opening a/1: a broken plan; again in 1 s");
    for (int i = 0; i < 5 * 60 * 10; i++) {
      backend.advance(Duration.ofMillis(200));
      scheduler.pass();
    }
    // After 1, 2, 4, ... 64 s, and then every 64 s, in 10 minutes.
    assertThat(warnings()).hasSizeBetween(14, 16);
    assertThat(backend.meters.get("scheduler-failures").counter().count()).isEqualTo(warnings().size());
    backend.write(backend.layout.serverPlan(broken), "mended");
    backend.advance(Duration.ofMinutes(2));
    scheduler.pass();
    assertThat(backend.status(broken)).isEqualTo(TaskStatus.OPEN);
  }

  @Test
  void evaluationWaitsForSomethingToEvaluate() {
    TaskKey training = training(3);
    TaskKey evaluation =
        backend.createWithArtifacts("p", TestBackend.settings(2, TestBackend.evaluation(training, everyIterations(1))));
    passes(3);
    assertThat(backend.iterations.newest(evaluation)).isEmpty();
    backend.round(training);
    passes(2);
    Iteration first = backend.newest(evaluation);
    assertThat(first).isEqualTo(new Iteration(
        new IterationKey(evaluation, 1, 0),
        IterationStatus.COLLECTING,
        0,
        new Iteration.Settings(1, 1, 1, 2, 5, TestBackend.VERSIONS, IterationInfo.newBuilder()
            .setTaskInfo(TestBackend.evaluation(training, everyIterations(1)))
            .setEvaluationTrainingIterationId(1)
            .build())));
    assertThat(backend.read(backend.layout.clientCheckpoint(evaluation, 1)))
        .isEqualTo("client checkpoint of checkpoint 1 of p/1 by plan of p/2");

    // A day later nothing is left: the iteration is completed, and the next one has to wait.
    backend.advance(Duration.ofHours(25));
    backend.round(evaluation);
    passes(3);
    assertThat(backend.newest(evaluation).key()).isEqualTo(first.key());
    assertThat(backend.newest(evaluation).status()).isEqualTo(IterationStatus.COMPLETED);
    scheduler.postProcess();
    assertThat(backend.newest(evaluation).status()).isEqualTo(IterationStatus.POST_PROCESSED);
    backend.round(training);
    passes(2);
    Iteration second = backend.newest(evaluation);
    assertThat(second.key().iteration()).isEqualTo(2);
    assertThat(second.settings().info().getEvaluationTrainingIterationId()).isEqualTo(2);
    assertThat(backend.status(evaluation)).isEqualTo(TaskStatus.OPEN);
    backend.round(evaluation);
    passes(2);
    assertThat(backend.status(evaluation)).isEqualTo(TaskStatus.COMPLETED);
  }

  /** What evaluations choose when iterations 1 to 9 of a training were completed, one every 40 minutes. */
  private Set<Long> chosen(CheckPointSelector.Builder selector) {
    TaskKey training = training(10);
    passes(2);
    for (int i = 0; i < 9; i++) {
      backend.advance(Duration.ofMinutes(40));
      backend.round(training);
      scheduler.pass();
    }
    TaskKey evaluation = backend.createWithArtifacts("p", TestBackend.settings(60, TestBackend.evaluation(training, selector)));
    passes(2);
    Set<Long> chosen = new TreeSet<>();
    while (backend.status(evaluation) == TaskStatus.OPEN) {
      Iteration iteration = backend.round(evaluation);
      long selected = iteration.settings().info().getEvaluationTrainingIterationId();
      assertThat(backend.read(backend.layout.clientCheckpoint(evaluation, iteration.key().iteration())))
          .isEqualTo("client checkpoint of checkpoint " + selected + " of " + training + " by plan of " + evaluation);
      chosen.add(selected);
      passes(2);
    }
    return chosen;
  }

  @Test
  void evaluationChoosesAmongTheFirstOfEveryFewIterations() {
    assertThat(chosen(everyIterations(4))).containsExactly(1L, 5L, 9L);
  }

  @Test
  void evaluationChoosesAmongTheFirstOfEveryFewHours() {
    // Completed at 03:44, 04:24, 05:04, 05:44, 06:24, 07:04, 07:44, 08:24 and 09:04; buckets begin at 02:00, 04:00, ...
    assertThat(chosen(everyHours(2))).containsExactly(1L, 2L, 5L, 8L);
  }

  @Test
  void metricsAreStored() {
    TaskKey task = training(2);
    passes(2);
    backend.round(task);
    scheduler.pass();
    scheduler.postProcess();
    assertThat(backend.metrics()).isEqualTo(Map.of("p/1/1 loss", 1.0));
    assertThat(backend.iterations.find(new IterationKey(task, 1, 0)).orElseThrow().status()).isEqualTo(IterationStatus.POST_PROCESSED);
    assertThat(backend.newest(task).status()).isEqualTo(IterationStatus.COLLECTING);
    scheduler.postProcess();
    assertThat(backend.meters.get("scheduler-iterations").tag("status", "POST_PROCESSED").counter().count()).isEqualTo(1);
  }

  @Test
  void whatIsNoMetricIsToldOnceAndStopsNobody() {
    Map<String, String> bad = Map.of(
        "a", "{\"loss\":0.5,\"nan\":NaN,\"much\":-Infinity,\"huge\":1e999,\"text\":\"0.5\",\"" + "x".repeat(65) + "\":1,\"\\u0000\":1}",
        "b", "no JSON\n",
        "c", "[1]",
        "d", "",
        "e", "{\"loss\":1");
    List<TaskKey> created = new ArrayList<>();
    for (String population : List.of("a", "b", "c", "d", "e", "f", "g")) {
      TaskKey task = backend.createWithArtifacts(population, TestBackend.settings(1, TestBackend.TRAINING));
      created.add(task);
      passes(2);
      backend.round(task);
      if (bad.containsKey(population)) {
        backend.write(backend.layout.metrics(task, 1), bad.get(population));
      }
      scheduler.pass();
    }
    // Gone, and damaged.
    assertThat(folder.resolve("fcp-test-m-0/f/1/1/s/0/metrics").toFile().delete()).isTrue();
    for (int i = 0; i < 3; i++) {
      scheduler.postProcess();
    }
    assertThat(backend.metrics()).isEqualTo(Map.of("a/1/1 loss", 0.5, "g/1/1 loss", 1.0));
    assertThat(created).allSatisfy(task -> assertThat(backend.newest(task).status()).isEqualTo(IterationStatus.POST_PROCESSED));
    assertThat(warnings()).hasSize(6 + 5).doesNotHaveDuplicates().allSatisfy(line -> assertThat(line).doesNotContain("\n", "\0"));
  }

  @Test
  void metricsThatAreStoredAgainReplaceThemselves() {
    TaskKey task = training(1);
    passes(2);
    Iteration iteration = backend.round(task);
    scheduler.pass();
    // As after a crash between the two databases.
    backend.write(backend.layout.metrics(task, 1), "{\"loss\":3}");
    scheduler.postProcess();
    backend.database.<Integer>transact(client -> client.sql("UPDATE iteration SET status = 50").update());
    backend.write(backend.layout.metrics(task, 1), "{\"loss\":4}");
    scheduler.postProcess();
    assertThat(backend.metrics()).isEqualTo(Map.of(iteration.key().task() + "/1 loss", 4.0));
  }

  @Test
  void metricsDatabaseThatIsAwayIsTriedAgain() {
    TaskKey task = training(1);
    passes(2);
    backend.round(task);
    scheduler.pass();
    backend.metricTables.source().close();
    scheduler.postProcess();
    scheduler.postProcess();
    assertThat(backend.newest(task).status()).isEqualTo(IterationStatus.COMPLETED);
    assertThat(warnings()).hasSize(1);
  }

  @Test
  void schedulersSideBySideDoEverythingOnce() throws Exception {
    Set<TaskKey> tasks = new HashSet<>();
    for (int i = 0; i < 6; i++) {
      tasks.add(backend.createWithArtifacts("p" + i, TestBackend.settings(2, TestBackend.TRAINING)));
    }
    List<TestBackend.Process> processes = List.of(process, backend.process(new Random(2)), backend.process(new Random(3)));
    ExecutorService threads = Executors.newFixedThreadPool(processes.size());
    try {
      for (int pass = 0; pass < 40 && tasks.stream().anyMatch(task -> backend.status(task) != TaskStatus.COMPLETED); pass++) {
        List<Callable<Void>> calls = processes.stream().<Callable<Void>>map(one -> () -> {
          one.scheduler.pass();
          one.scheduler.postProcess();
          return null;
        }).toList();
        for (Future<Void> end : threads.invokeAll(calls)) {
          end.get();
        }
        for (TaskKey task : tasks) {
          backend.iterations.newest(task)
              .filter(found -> found.status() == IterationStatus.COLLECTING)
              .ifPresent(found -> backend.round(task));
        }
      }
    } finally {
      threads.shutdownNow();
      processes.forEach(TestBackend.Process::close);
    }
    process.scheduler.postProcess();
    assertThat(tasks).allSatisfy(task -> assertThat(backend.status(task)).isEqualTo(TaskStatus.COMPLETED));
    assertThat(backend.rows("SELECT * FROM task_status_history")).hasSize(6 * 3);
    assertThat(backend.rows("SELECT * FROM iteration")).hasSize(6 * 2);
    // COLLECTING, AGGREGATING, APPLYING, COMPLETED, POST_PROCESSED
    assertThat(backend.rows("SELECT * FROM iteration_status_history")).hasSize(6 * 2 * 5);
    assertThat(warnings()).isEmpty();
  }
}

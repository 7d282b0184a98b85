package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Lock;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregationNotification;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregatorMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.Crashes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.BatchStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Each rule of services.md 2.3 and 4 that is the collector's. */
class CollectorTest {
  private static final int BATCH = 3;

  @RegisterExtension static final PostgresServer postgres = new PostgresServer();

  @TempDir Path folder;

  private TestBackend backend;
  private TestBackend.Process process;

  @BeforeEach
  void start() {
    backend = new TestBackend(postgres, folder);
    process = backend.process(TestBackend.settings(BATCH, Optional.empty()));
  }

  @AfterEach
  void stop() {
    process.close();
    backend.close();
  }

  private List<AssignmentKey> contribute(Iteration iteration, int count) {
    return IntStream.range(0, count).mapToObj(i -> backend.contribute(iteration)).toList();
  }

  private List<String> batches(Iteration iteration, BatchStatus status) {
    return backend.batches.withStatus(iteration.key(), status, "", 100);
  }

  private List<Long> history(AssignmentKey key) {
    return backend.column("SELECT status FROM assignment_status_history WHERE session_id = '" + key.session() + "' ORDER BY status_id");
  }

  private long activeSlots() {
    return backend.column("SELECT CAST(SUM(active) AS bigint) FROM assignment_slots").get(0);
  }

  private void fail(Message request) throws InterruptedException {
    process.failures.handle(TestBackend.failure(request));
  }

  @Test
  void fullBatchIsPublishedAndTheRestWaits() {
    Iteration iteration = backend.begin(10, 20);
    List<AssignmentKey> devices = contribute(iteration, 4);
    process.collector.pass();
    String batch = batches(iteration, BatchStatus.PUBLISH_COMPLETED).get(0);
    List<String> members = backend.batches.members(iteration.key(), batch);
    assertThat(members).hasSize(BATCH).isSubsetOf(devices.stream().map(AssignmentKey::session).toList());
    assertThat(devices).allSatisfy(device -> {
      assertThat(backend.assignments.status(device)).contains(AssignmentStatus.UPLOAD_COMPLETED);
      assertThat(history(device)).containsExactly(0L, 1L, 2L);
    });
    assertThat(backend.column("SELECT status FROM aggregation_batch_status_history ORDER BY status_id")).containsExactly(1L, 2L);
    String task = "p/" + iteration.key().task().task();
    assertThat(backend.queues.aggregator).hasSize(1);
    assertThat(AggregatorMessage.parse(backend.queues.aggregator.get(0).data())).isEqualTo(new AggregatorMessage(
        false,
        "fcp-test-m-0",
        task + "/0/s/0/server_phase",
        "fcp-test-g-0",
        task + "/1/d/",
        members.stream().map(session -> session + "/gradient").toList(),
        "fcp-test-a-0",
        task + "/1/s/0/0/" + batch + "/gradient",
        iteration.key() + "_" + batch,
        TestBackend.ENDPOINT.address()));
    assertThat(backend.read(iteration)).isEqualTo(iteration);
  }

  @Test
  void passWithoutNewUploadsChangesNothing() {
    Iteration iteration = backend.begin(10, 20);
    contribute(iteration, 4);
    backend.report(backend.checkIn(iteration).orElseThrow());
    process.collector.pass();
    List<Map<String, Object>> before = backend.rows("SELECT * FROM assignment ORDER BY session_id");
    process.collector.pass();
    assertThat(backend.rows("SELECT * FROM assignment ORDER BY session_id")).isEqualTo(before);
    assertThat(backend.queues.aggregator).hasSize(1);
  }

  @Test
  void leftoversFillTheNextBatch() {
    Iteration iteration = backend.begin(10, 20);
    List<AssignmentKey> early = contribute(iteration, 2);
    process.collector.pass();
    assertThat(backend.queues.aggregator).isEmpty();
    contribute(iteration, 1);
    process.collector.pass();
    assertThat(backend.queues.aggregator).hasSize(1);
    // Uploaded first, in a batch later.
    assertThat(history(early.get(0))).containsExactly(0L, 1L, 2L, 2L);
  }

  @Test
  void leftoversAreTheLastBatchIfTheyReachTheGoal() {
    Iteration iteration = backend.begin(5, 20);
    contribute(iteration, 5);
    process.collector.pass();
    assertThat(backend.column("SELECT batch_size FROM aggregation_batch ORDER BY batch_size")).containsExactly(2L, 3L);
    assertThat(backend.queues.aggregator).hasSize(2);
    Iteration aggregating = backend.read(iteration);
    assertThat(aggregating.status()).isEqualTo(IterationStatus.AGGREGATING);
    assertThat(aggregating.aggregationLevel()).isEqualTo(1);
  }

  @Test
  void uploadsBeyondTheGoalCountIfTheyAreThereInTime() {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 4);
    process.collector.pass();
    AssignmentKey late = backend.checkIn(iteration).orElse(null);
    assertThat(late).isNull();
    assertThat(backend.batches.contributions(iteration.key()).published()).isEqualTo(4);
  }

  @Test
  void uploadOfADeviceThatHasNotReportedWaits() {
    Iteration iteration = backend.begin(1, 20);
    AssignmentKey device = backend.checkIn(iteration).orElseThrow();
    backend.upload(device);
    process.collector.pass();
    assertThat(backend.assignments.status(device)).contains(AssignmentStatus.ASSIGNED);
    backend.report(device);
    process.collector.pass();
    assertThat(backend.assignments.status(device)).contains(AssignmentStatus.UPLOAD_COMPLETED);
  }

  @Test
  void repeatedUploadCountsOnce() {
    Iteration iteration = backend.begin(10, 20);
    List<AssignmentKey> devices = contribute(iteration, BATCH);
    backend.upload(devices.get(0));
    process.collector.pass();
    backend.upload(devices.get(0));
    process.collector.pass();
    assertThat(backend.batches.contributions(iteration.key()).published()).isEqualTo(BATCH);
  }

  @Test
  void sumsLeadToTheModelUpdater() {
    Iteration iteration = backend.begin(5, 20);
    List<AssignmentKey> devices = contribute(iteration, 5);
    process.collector.pass();
    backend.aggregate(backend.queues.aggregator.get(0));
    process.collector.pass();
    assertThat(backend.queues.modelUpdater).isEmpty();
    assertThat(batches(iteration, BatchStatus.UPLOAD_COMPLETED)).hasSize(1);
    backend.aggregate(backend.queues.aggregator.get(1));
    process.collector.pass();
    process.collector.pass();
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.APPLYING);
    assertThat(backend.read(iteration).aggregationLevel()).isEqualTo(2);
    assertThat(backend.queues.modelUpdater).hasSize(1);
    String task = "p/" + iteration.key().task().task();
    assertThat(ModelUpdaterMessage.parse(backend.queues.modelUpdater.get(0).data())).isEqualTo(new ModelUpdaterMessage(
        "fcp-test-m-0",
        task + "/0/s/0/server_phase",
        "fcp-test-a-0",
        task + "/1/s/0/0/",
        batches(iteration, BatchStatus.UPLOAD_COMPLETED).stream().map(batch -> batch + "/gradient").toList(),
        "fcp-test-m-0",
        task + "/0/s/0/checkpoint",
        Optional.of("fcp-test-m-0"),
        Optional.of(task + "/1/s/0/checkpoint"),
        Optional.of("fcp-test-m-0"),
        Optional.of(task + "/1/d/0/client_checkpoint"),
        "fcp-test-m-0",
        task + "/1/s/0/metrics",
        "1"));
    assertThat(backend.update(backend.queues.modelUpdater.get(0)))
        .containsExactlyInAnyOrderElementsOf(devices.stream().map(AssignmentKey::session).toList());
  }

  @Test
  void evaluationLooksAtTheModelOfItsTrainingAndMakesNone() {
    Iteration any = backend.begin(1, 1);
    EvaluationInfo evaluation = EvaluationInfo.newBuilder().setTrainingPopulationName("training").setTrainingTaskId(7).build();
    IterationInfo info = IterationInfo.newBuilder()
        .setTaskInfo(TaskInfo.newBuilder().setEvaluationInfo(evaluation))
        .setEvaluationTrainingIterationId(42)
        .build();
    backend.iterations.complete(
        any, Optional.of(new Iteration.Settings(2, 2, 2, 1, 1, new ClientVersions("0", "9"), info)), backend.clock.instant());
    Iteration iteration = backend.iterations.newest(any.key().task()).orElseThrow();
    backend.contribute(iteration);
    process.collector.pass();
    backend.aggregate(backend.queues.aggregator.get(0));
    process.collector.pass();
    ModelUpdaterMessage message = ModelUpdaterMessage.parse(backend.queues.modelUpdater.get(0).data());
    assertThat(message.checkpointObject()).isEqualTo("training/7/42/s/0/checkpoint");
    assertThat(message.newCheckpointOutputObject()).isEmpty();
    assertThat(message.newCheckpointOutputBucket()).isEmpty();
    assertThat(message.newClientCheckpointOutputObject()).isEmpty();
    assertThat(message.newClientCheckpointOutputBucket()).isEmpty();
    assertThat(message.metricsOutputObject()).isEqualTo("p/" + iteration.key().task().task() + "/2/s/0/metrics");
  }

  @Test
  void failedBatchFreesItsPlacesAndTheIterationCollectsAgain() throws Exception {
    Iteration iteration = backend.begin(5, 5);
    List<AssignmentKey> devices = contribute(iteration, 5);
    process.collector.pass();
    assertThat(activeSlots()).isEqualTo(5);
    Message request = backend.queues.aggregator.get(0);
    fail(request);
    List<String> lost = AggregatorMessage.parse(request.data()).gradients();
    assertThat(batches(iteration, BatchStatus.FAILED)).hasSize(1);
    assertThat(devices.stream().filter(device -> lost.contains(device.session() + "/gradient"))).hasSize(lost.size()).allSatisfy(device -> {
      assertThat(backend.assignments.status(device)).contains(AssignmentStatus.REMOTE_FAILED);
      assertThat(history(device).get(history(device).size() - 1)).isEqualTo(AssignmentStatus.REMOTE_FAILED.code());
    });
    assertThat(activeSlots()).isEqualTo(5L - lost.size());
    assertThat(backend.read(iteration)).isEqualTo(iteration);
    List<Map<String, Object>> before = backend.rows("SELECT * FROM assignment_status_history ORDER BY session_id, status_id");
    fail(request);
    assertThat(backend.rows("SELECT * FROM assignment_status_history ORDER BY session_id, status_id")).isEqualTo(before);
    assertThat(activeSlots()).isEqualTo(5L - lost.size());
    contribute(iteration, lost.size());
    process.collector.pass();
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING);
  }

  @Test
  void failureThatIsNotNeededLeavesTheIterationAggregating() throws Exception {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 6);
    process.collector.pass();
    fail(backend.queues.aggregator.get(0));
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING);
    backend.aggregate(backend.queues.aggregator.get(1));
    process.collector.pass();
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.APPLYING);
    assertThat(ModelUpdaterMessage.parse(backend.queues.modelUpdater.get(0).data()).intermediateGradients()).hasSize(1);
  }

  @Test
  void tooManyFailuresEndTheIteration() throws Exception {
    process.close();
    process = backend.process(TestBackend.settings(BATCH, Optional.of(1L)));
    Iteration iteration = backend.begin(6, 20);
    contribute(iteration, 6);
    process.collector.pass();
    fail(backend.queues.aggregator.get(0));
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.COLLECTING);
    fail(backend.queues.aggregator.get(1));
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING_FAILED);
    assertThat(activeSlots()).isZero();
    process.collector.pass();
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING_FAILED);
  }

  @Test
  void failureOfASumThatIsThereOrOfSomethingUnknownChangesNothing() throws Exception {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 3);
    process.collector.pass();
    Message request = backend.queues.aggregator.get(0);
    backend.aggregate(request);
    process.collector.pass();
    Iteration applying = backend.read(iteration);
    fail(request);
    for (String unknown : List.of("nonsense", iteration.key() + "_" + UUID.randomUUID(), "q/1/1/0_b", "p/1/1/0_", "p/99999999999999999999/1/0_b")) {
      process.failures.handle(AggregationNotification.error(unknown, AggregationNotification.ErrorReason.UNKNOWN_ERROR).toMessage());
    }
    assertThat(backend.read(iteration)).isEqualTo(applying);
    assertThat(batches(iteration, BatchStatus.UPLOAD_COMPLETED)).hasSize(1);
    assertThat(activeSlots()).isEqualTo(3);
  }

  @Test
  void goodNewsArePassedOver() throws Exception {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 3);
    process.collector.pass();
    String request = AggregatorMessage.parse(backend.queues.aggregator.get(0).data()).requestId();
    process.failures.handle(AggregationNotification.ok(request).toMessage());
    assertThat(batches(iteration, BatchStatus.PUBLISH_COMPLETED)).hasSize(1);
  }

  @Test
  void canceledIterationIsLeftAlone() throws Exception {
    Iteration collecting = backend.begin(6, 20);
    contribute(collecting, 5);
    AssignmentKey silent = backend.checkIn(collecting).orElseThrow();
    process.collector.pass();
    contribute(collecting, 1);
    backend.iterations.cancel(collecting.key().task(), backend.clock.instant());
    Iteration aggregating = backend.begin(3, 20);
    contribute(aggregating, 3);
    process.collector.pass();
    assertThat(backend.read(aggregating).status()).isEqualTo(IterationStatus.AGGREGATING);
    backend.iterations.cancel(aggregating.key().task(), backend.clock.instant());
    backend.queues.aggregator.forEach(backend::aggregate);

    List<Map<String, Object>> before = backend.rows("SELECT * FROM iteration_status_history ORDER BY task_id, status_id");
    List<Map<String, Object>> assignments = backend.rows("SELECT * FROM assignment ORDER BY session_id");
    backend.clock.advance(TestBackend.COMPUTE.plus(TestBackend.UPLOAD));
    process.collector.pass();
    process.collector.timeouts();
    assertThat(backend.rows("SELECT * FROM assignment ORDER BY session_id")).isEqualTo(assignments);
    assertThat(backend.assignments.status(silent)).contains(AssignmentStatus.ASSIGNED);
    for (Message request : List.copyOf(backend.queues.aggregator)) {
      fail(request);
    }
    process.collector.pass();
    assertThat(backend.rows("SELECT * FROM iteration_status_history ORDER BY task_id, status_id")).isEqualTo(before);
    assertThat(backend.queues.aggregator).hasSize(2);
    assertThat(backend.queues.modelUpdater).isEmpty();
  }

  @Test
  void lateDevicesGiveTheirPlacesBack() {
    Iteration iteration = backend.begin(4, 4);
    AssignmentKey silent = backend.checkIn(iteration).orElseThrow();
    AssignmentKey reported = backend.checkIn(iteration).orElseThrow();
    AssignmentKey uploaded = backend.contribute(iteration);
    backend.report(reported);
    backend.clock.advance(TestBackend.COMPUTE.minusSeconds(1));
    AssignmentKey young = backend.checkIn(iteration).orElseThrow();
    process.collector.timeouts();
    assertThat(activeSlots()).isEqualTo(4);
    backend.clock.advance(Duration.ofSeconds(1));
    process.collector.timeouts();
    assertThat(backend.assignments.status(silent)).contains(AssignmentStatus.LOCAL_TIMEOUT);
    assertThat(activeSlots()).isEqualTo(3);
    backend.clock.advance(TestBackend.UPLOAD.minus(TestBackend.COMPUTE));
    process.collector.timeouts();
    assertThat(backend.assignments.status(reported)).contains(AssignmentStatus.UPLOAD_TIMEOUT);
    // It is there, only no pass has come by.
    assertThat(backend.assignments.status(uploaded)).contains(AssignmentStatus.LOCAL_COMPLETED);
    assertThat(backend.assignments.status(young)).contains(AssignmentStatus.ASSIGNED);
    assertThat(activeSlots()).isEqualTo(2);
    assertThat(history(silent)).containsExactly(0L, 151L);
    assertThat(history(reported)).containsExactly(0L, 1L, 152L);
    backend.upload(reported);
    process.collector.pass();
    assertThat(backend.assignments.status(reported)).contains(AssignmentStatus.UPLOAD_TIMEOUT);
    assertThat(backend.assignments.status(uploaded)).contains(AssignmentStatus.UPLOAD_COMPLETED);
  }

  @Test
  void lockedIterationIsLeftToWhoHasIt() {
    Iteration iteration = backend.begin(1, 20);
    backend.contribute(iteration);
    try (Locks others = new Locks(backend.database)) {
      try (Lock lock = others.tryLock("collector_" + iteration.key()).orElseThrow()) {
        process.collector.pass();
        assertThat(backend.read(iteration)).isEqualTo(iteration);
      }
      process.collector.pass();
      assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING);
    }
  }

  @Test
  void manyThatNeverUploadDoNotHideThoseThatDo() {
    Iteration iteration = backend.begin(3000, 3000);
    // More than a pass looks at, and older.
    backend.database.<Integer>transact(client -> client.sql("""
        INSERT INTO assignment (population_name, task_id, iteration_id, attempt_id, session_id, correlation_id, status, created_time,
            status_time, shard)
        SELECT 'p', :task, 1, 0, 'silent-' || n, '', 1, TIMESTAMPTZ '2026-01-01 00:00:00Z', TIMESTAMPTZ '2026-01-01 00:00:00Z', 0
        FROM generate_series(1, 2500) AS n
        """).param("task", iteration.key().task().task()).update());
    contribute(iteration, BATCH);
    for (int pass = 0; pass < 3; pass++) {
      process.collector.pass();
    }
    assertThat(backend.batches.contributions(iteration.key()).published()).isEqualTo(BATCH);
    AssignmentKey late = new AssignmentKey(iteration.key(), "silent-1");
    backend.upload(late);
    for (int pass = 0; pass < 3; pass++) {
      process.collector.pass();
    }
    assertThat(backend.assignments.status(late)).contains(AssignmentStatus.UPLOAD_COMPLETED);
  }

  @Test
  void largeBatchesMoveAsAWhole() throws Exception {
    process.close();
    process = backend.process(TestBackend.settings(1200, Optional.empty()));
    Iteration iteration = backend.begin(1200, 2000);
    backend.database.<Integer>transact(client -> {
      client.sql("""
          INSERT INTO assignment (population_name, task_id, iteration_id, attempt_id, session_id, correlation_id, status, created_time,
              status_time, shard)
          SELECT 'p', :task, 1, 0, 'device-' || n, '', 2, TIMESTAMPTZ '2026-01-01 00:00:00Z', TIMESTAMPTZ '2026-01-01 00:00:00Z', n % 16
          FROM generate_series(1, 1200) AS n
          """).param("task", iteration.key().task().task()).update();
      client.sql("INSERT INTO assignment_status_history SELECT population_name, task_id, iteration_id, attempt_id, session_id, 1, 2, NULL,"
          + " created_time FROM assignment").update();
      return client.sql("UPDATE assignment_slots SET active = 75").update();
    });
    process.collector.pass();
    assertThat(backend.batches.contributions(iteration.key()).published()).isEqualTo(1200);
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING);
    fail(backend.queues.aggregator.get(0));
    assertThat(activeSlots()).isZero();
    assertThat(backend.column("SELECT COUNT(*) FROM assignment_status_history WHERE status_id = 3 AND status = 104")).containsExactly(1200L);
    assertThat(backend.read(iteration)).isEqualTo(iteration);
  }

  @Test
  void brokenIterationDoesNotStopTheOthersAndRests() {
    Iteration good = backend.begin(1, 5);
    // A population that is no name of a blob, and comes first.
    backend.database.<Integer>transact(client -> client.sql("INSERT INTO task SELECT '..', task_id, total_iteration, min_aggregation_size,"
        + " max_aggregation_size, status, created_time, start_time, stop_time, start_task_no_earlier_than, do_not_create_iteration_after,"
        + " max_parallel, correlation_id, min_client_version, max_client_version, info FROM task").update());
    IterationKey bad = IterationKey.of("..", good.key().task().task(), 1);
    backend.iterations.begin(bad, TestBackend.settings(1, 1, 5), backend.clock.instant());
    AssignmentKey device = backend.checkIn(backend.iterations.find(bad).orElseThrow()).orElseThrow();
    backend.report(device);
    backend.contribute(good);
    process.collector.pass();
    assertThat(backend.read(good).status()).isEqualTo(IterationStatus.AGGREGATING);
    assertThat(backend.assignments.status(device)).contains(AssignmentStatus.LOCAL_COMPLETED);
  }

  /** A pass of a process that ends as soon as it has sent a message. */
  private void passThatCrashesAfterItsMessage() {
    Crashes crashes = new Crashes();
    crashes.arm(1);
    Messages messages = crashes.around(Messages.class, backend.queues, Set.of("publish"));
    CollectorSettings settings = TestBackend.settings(BATCH, Optional.empty());
    try (TestBackend.Process crashing =
        new TestBackend.Process(backend, settings, backend.database, backend.blobs, messages, backend.database)) {
      assertThatThrownBy(crashing.collector::pass).isInstanceOf(Crashes.Crash.class);
    }
  }

  @Test
  void batchWhoseMessageWasSentBeforeACrashIsSentAgainAsItWas() {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 3);
    passThatCrashesAfterItsMessage();
    assertThat(batches(iteration, BatchStatus.FULL)).hasSize(1);
    contribute(iteration, 1);
    process.collector.pass();
    assertThat(backend.queues.aggregator.subList(0, 2)).containsOnly(backend.queues.aggregator.get(0));
    assertThat(backend.batches.contributions(iteration.key()).published()).isEqualTo(4);
  }

  @Test
  void sumsThatWereSentBeforeACrashAreSentAgainAndNoOthersWithThem() {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 6);
    process.collector.pass();
    backend.aggregate(backend.queues.aggregator.get(0));
    passThatCrashesAfterItsMessage();
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.AGGREGATING);
    backend.aggregate(backend.queues.aggregator.get(1));
    process.collector.pass();
    assertThat(backend.read(iteration).status()).isEqualTo(IterationStatus.APPLYING);
    assertThat(backend.queues.modelUpdater).hasSize(2).containsOnly(backend.queues.modelUpdater.get(0));
  }

  @Test
  void stepsAreCounted() throws Exception {
    Iteration iteration = backend.begin(3, 20);
    contribute(iteration, 3);
    process.collector.pass();
    fail(backend.queues.aggregator.get(0));
    assertThat(backend.meters.get("collector-assignments").tags("population", "p", "status", "UPLOAD_COMPLETED").counter().count())
        .isEqualTo(3);
    assertThat(backend.meters.get("collector-batches").tags("population", "p", "status", "FAILED").counter().count()).isEqualTo(1);
    assertThat(backend.meters.get("collector-iterations").tags("population", "p", "status", "COLLECTING").counter().count()).isEqualTo(1);
    assertThat(backend.meters.get("collector-pass").tags("pass", "collecting").timer().count()).isEqualTo(1);
  }

  @Test
  void notificationWithoutAttributesIsRefused() {
    assertThatThrownBy(() -> process.failures.handle(new Message("", Map.of()))).isInstanceOf(IllegalArgumentException.class);
  }
}

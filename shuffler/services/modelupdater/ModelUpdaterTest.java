package com.google.ondevicepersonalization.federatedcompute.shuffler.modelupdater;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Aggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.PlanAggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.RejectedException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Workspace;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.LocalKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.testing.TestPlans;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.Crashes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.internal.federated.plan.PlanProto.Plan;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Rounds of plans of both kinds: the model begins as [1, 2], and the mean of the updates is [3, 30]. */
class ModelUpdaterTest {
  private static final TaskKey TASK = new TaskKey("population", 1);
  private static final int LIMIT = 1 << 20;

  @TempDir Path folder;

  private final BlobLayout layout = new BlobLayout("fcp-test-m-%s", "fcp-test-g-%s", "fcp-test-a-%s");
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private Workspace workspace;
  private FileBlobs blobs;
  private Payloads payloads;
  private ModelUpdater updater;

  @BeforeEach
  void prepare() {
    byte[] key = LocalUrls.sharedKey(folder);
    blobs = new FileBlobs(folder.resolve("blobs"), new LocalUrls(URI.create("http://localhost"), key, Clock.systemUTC()), LIMIT);
    LocalKeys keys = new LocalKeys(folder);
    payloads = new Payloads(keys, keys, LIMIT);
    workspace = new Workspace(folder.resolve("cache"));
    updater = updater(blobs);
  }

  private ModelUpdater updater(Blobs store) {
    return new ModelUpdater(store, layout, payloads, workspace.reduction(), workspace.folder(), meters);
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    try (Stream<Path> files = Files.list(workspace.folder())) {
      assertThat(files).isEmpty();
    }
    workspace.close();
    assertThat(workspace.folder()).doesNotExist();
  }

  static List<Plan> plans() {
    return List.of(TestPlans.v1(), TestPlans.v2());
  }

  private static byte[] checkpoint(Map<String, float[]> vectors) {
    return TestPlans.checkpoint(new TreeMap<>(vectors));
  }

  /** The sum of updates, as the aggregator leaves it. */
  private String sum(Plan plan, String batch, float[]... updates) throws RejectedException {
    try (Aggregation aggregation = PlanAggregation.begin(new ServerPlan(plan), workspace.folder())) {
      for (float[] update : updates) {
        aggregation.addContribution(checkpoint(Map.of("update/w", update, "update/count", new float[] {1})));
      }
      blobs.write(layout.aggregate(TASK, 1, 0, batch), payloads.seal(aggregation.toIntermediate()));
    }
    return batch + "/gradient";
  }

  private ModelUpdaterMessage message(Plan plan, boolean training, List<String> sums) {
    blobs.write(layout.serverPlan(TASK), plan.toByteArray());
    blobs.write(layout.checkpoint(TASK, 0), checkpoint(Map.of("server/w", new float[] {1, 2})));
    BlobName models = layout.checkpoint(TASK, 1);
    return new ModelUpdaterMessage(
        models.bucket(),
        layout.serverPlan(TASK).key(),
        layout.aggregate(TASK, 1, 0, "x").bucket(),
        "population/1/1/s/0/0/",
        sums,
        models.bucket(),
        layout.checkpoint(TASK, 0).key(),
        training ? Optional.of(models.bucket()) : Optional.empty(),
        training ? Optional.of(models.key()) : Optional.empty(),
        training ? Optional.of(models.bucket()) : Optional.empty(),
        training ? Optional.of(layout.clientCheckpoint(TASK, 1).key()) : Optional.empty(),
        models.bucket(),
        layout.metrics(TASK, 1).key(),
        "1");
  }

  private Message training(Plan plan) throws RejectedException {
    return message(plan, true, List.of(
        sum(plan, "first", new float[] {1, 10}, new float[] {2, 20}), sum(plan, "second", new float[] {6, 60}))).toMessage();
  }

  private String metrics() throws BlobNotFoundException {
    return new String(blobs.read(layout.metrics(TASK, 1)), StandardCharsets.UTF_8);
  }

  private boolean anyOutput() {
    return blobs.exists(layout.checkpoint(TASK, 1))
        || blobs.exists(layout.clientCheckpoint(TASK, 1))
        || blobs.exists(layout.metrics(TASK, 1));
  }

  @ParameterizedTest
  @MethodSource("plans")
  void modelMovesByTheMeanOfAllUpdates(Plan plan) throws Exception {
    updater.handle(training(plan));
    assertThat(TestPlans.read(blobs.read(layout.checkpoint(TASK, 1)), "server/w")).containsExactly(4, 32);
    assertThat(TestPlans.read(blobs.read(layout.clientCheckpoint(TASK, 1)), "client/w")).containsExactly(4, 32);
    assertThat(metrics()).isEqualTo("{\"num_updates\":3.0}");
    assertThat(meters.timer("update-model", "result", "OK").count()).isEqualTo(1);
  }

  @ParameterizedTest
  @MethodSource("plans")
  void evaluationWritesOnlyMetrics(Plan plan) throws Exception {
    updater.handle(message(plan, false, List.of(sum(plan, "first", new float[] {1, 10}))).toMessage());
    assertThat(metrics()).isEqualTo("{\"num_updates\":1.0}");
    assertThat(blobs.exists(layout.checkpoint(TASK, 1))).isFalse();
    assertThat(blobs.exists(layout.clientCheckpoint(TASK, 1))).isFalse();
  }

  @ParameterizedTest
  @MethodSource("plans")
  void messageThatComesAgainChangesNothing(Plan plan) throws Exception {
    Message message = training(plan);
    updater.handle(message);
    byte[] first = blobs.read(layout.checkpoint(TASK, 1));
    // A sum that would make another model.
    sum(plan, "first", new float[] {100, 100});
    updater.handle(message);
    assertThat(blobs.read(layout.checkpoint(TASK, 1))).isEqualTo(first);
  }

  static List<Plan> noisyPlans() {
    return List.of(TestPlans.noisyV1(), TestPlans.noisyV2());
  }

  private float[] model() throws BlobNotFoundException {
    return TestPlans.read(blobs.read(layout.checkpoint(TASK, 1)), "server/w");
  }

  @ParameterizedTest
  @MethodSource("noisyPlans")
  void updateThatWasInterruptedIsMadeWholeWithTheModelThatIsThere(Plan plan) throws Exception {
    Message message = training(plan);
    int interrupted = 0;
    // Before and after each of the three writes.
    for (int point = 0; point < 6; point++) {
      for (BlobName output : List.of(layout.checkpoint(TASK, 1), layout.metrics(TASK, 1), layout.clientCheckpoint(TASK, 1))) {
        Files.deleteIfExists(folder.resolve("blobs").resolve(output.bucket()).resolve(output.key()));
      }
      Crashes crashes = new Crashes();
      ModelUpdater crashing = updater(crashes.around(Blobs.class, blobs, Set.of("write", "writeIfAbsent")));
      crashes.arm(point);
      assertThatThrownBy(() -> crashing.handle(message)).isInstanceOf(Crashes.Crash.class);
      Optional<float[]> released = blobs.exists(layout.checkpoint(TASK, 1)) ? Optional.of(model()) : Optional.empty();
      assertThat(released.isPresent()).isEqualTo(point > 0);
      updater.handle(message);
      if (released.isPresent()) {
        assertThat(model()).isEqualTo(released.get());
        interrupted++;
      }
      assertThat(TestPlans.read(blobs.read(layout.clientCheckpoint(TASK, 1)), "client/w")).isEqualTo(model());
      assertThat(metrics()).isEqualTo("{\"num_updates\":3.0}");
    }
    assertThat(interrupted).isEqualTo(5);
  }

  @ParameterizedTest
  @MethodSource("noisyPlans")
  void oneModelIsReleasedWhenAMessageIsDeliveredTwiceAtTheSameTime(Plan plan) throws Exception {
    Message message = training(plan);
    int deliveries = 2;
    // All have looked, and found nothing, before the first one writes; what they write is kept, in their order.
    CyclicBarrier looked = new CyclicBarrier(deliveries);
    List<float[]> offered = Collections.synchronizedList(new ArrayList<>());
    List<float[]> downloads = Collections.synchronizedList(new ArrayList<>());
    Blobs shared = (Blobs) Proxy.newProxyInstance(
        Blobs.class.getClassLoader(), new Class<?>[] {Blobs.class}, (proxy, method, arguments) -> {
          switch (method.getName()) {
            case "writeIfAbsent" -> {
              offered.add(TestPlans.read((byte[]) arguments[1], "server/w"));
              looked.await();
            }
            case "write" -> {
              if (arguments[0].equals(layout.clientCheckpoint(TASK, 1))) {
                downloads.add(TestPlans.read((byte[]) arguments[1], "client/w"));
              }
            }
            default -> { }
          }
          return method.invoke(blobs, arguments);
        });
    ExecutorService threads = Executors.newFixedThreadPool(deliveries);
    try {
      ModelUpdater updater = updater(shared);
      List<Callable<Void>> calls = Collections.nCopies(deliveries, () -> {
        updater.handle(message);
        return null;
      });
      for (Future<Void> end : threads.invokeAll(calls)) {
        end.get();
      }
    } finally {
      threads.shutdownNow();
    }
    assertThat(offered).hasSize(2).contains(model());
    assertThat(offered.get(0)).as("the noise of the one is not that of the other").isNotEqualTo(offered.get(1));
    assertThat(downloads).hasSize(2).allSatisfy(download -> assertThat(download).isEqualTo(model()));
  }

  @ParameterizedTest
  @MethodSource("plans")
  void refusedUpdateLeavesTheSumAsItWas(Plan plan) throws Exception {
    try (Aggregation aggregation = PlanAggregation.begin(new ServerPlan(plan), workspace.folder())) {
      aggregation.addContribution(checkpoint(Map.of("update/w", new float[] {1, 10}, "update/count", new float[] {1})));
      for (byte[] bad : List.of(
          new byte[0],
          "garbage".getBytes(StandardCharsets.UTF_8),
          checkpoint(Map.of("other", new float[] {1, 10}, "update/count", new float[] {1})),
          checkpoint(Map.of("update/w", new float[] {1, 2, 3}, "update/count", new float[] {1})),
          checkpoint(Map.of("update/w", new float[] {1, Float.NaN}, "update/count", new float[] {1})),
          checkpoint(Map.of("update/w", new float[] {Float.POSITIVE_INFINITY, 1}, "update/count", new float[] {1})),
          checkpoint(Map.of("update/w", new float[] {1, 10}, "update/count", new float[] {Float.NEGATIVE_INFINITY})))) {
        assertThatThrownBy(() -> aggregation.addContribution(bad)).isInstanceOf(RejectedException.class);
      }
      aggregation.addContribution(checkpoint(Map.of("update/w", new float[] {2, 20}, "update/count", new float[] {1})));
      blobs.write(layout.aggregate(TASK, 1, 0, "first"), payloads.seal(aggregation.toIntermediate()));
    }
    updater.handle(message(plan, true, List.of("first/gradient")).toMessage());
    assertThat(TestPlans.read(blobs.read(layout.checkpoint(TASK, 1)), "server/w")).containsExactly(2.5f, 17);
    assertThat(metrics()).isEqualTo("{\"num_updates\":2.0}");
  }

  @ParameterizedTest
  @MethodSource("plans")
  void sumThatIsMissingOrDamagedMeansNoUpdate(Plan plan) throws Exception {
    String good = sum(plan, "first", new float[] {1, 10});
    assertThatThrownBy(() -> updater.handle(message(plan, true, List.of(good, "nobody/gradient")).toMessage()))
        .hasMessageContaining("1 of 2 sums are refused")
        .hasMessageContaining("nobody/gradient: it is not there");
    blobs.write(layout.aggregate(TASK, 1, 0, "second"), payloads.seal("garbage".getBytes(StandardCharsets.UTF_8)));
    assertThatThrownBy(() -> updater.handle(message(plan, true, List.of(good, "second/gradient")).toMessage()))
        .hasMessageContaining("1 of 2 sums are refused");
    blobs.store(layout.aggregate(TASK, 1, 0, "third"), Encoding.GZIP, new ByteArrayInputStream(new byte[] {1}));
    assertThatThrownBy(() -> updater.handle(message(plan, true, List.of(good, "third/gradient")).toMessage()))
        .hasMessageContaining("1 of 2 sums are refused")
        .hasMessageContaining("third/gradient: ");
    assertThat(anyOutput()).isFalse();
    assertThat(meters.timer("update-model", "result", "FAILED").count()).isEqualTo(3);
  }

  @Test
  void messageThatLeadsElsewhereIsRefused() throws Exception {
    String good = training(TestPlans.v1()).data();
    for (String bad : List.of(
        good.replace("\"metricsOutputBucket\":\"fcp-test-m-0\"", "\"metricsOutputBucket\":\"fcp-test-a-0\""),
        good.replace("\"newCheckpointOutputBucket\":\"fcp-test-m-0\",", ""),
        good.replace("first/gradient", "../../x"),
        good.replace("\"first/gradient\",\"second/gradient\"", ""),
        "{}")) {
      assertThat(bad).isNotEqualTo(good);
      assertThatThrownBy(() -> updater.handle(new Message(bad, Map.of()))).isInstanceOf(IllegalArgumentException.class);
    }
    assertThat(anyOutput()).isFalse();
  }
}

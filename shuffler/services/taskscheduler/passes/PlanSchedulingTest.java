package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.testing.TestPlans;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PostgresServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EveryKIterationsCheckpointSelector;
import com.google.internal.federated.plan.PlanProto.Plan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real plans, which TensorFlow runs. */
class PlanSchedulingTest {
  @TempDir Path folder;

  private static byte[] state(float... model) {
    return TestPlans.checkpoint(new TreeMap<>(Map.of("server/w", model)));
  }

  @Test
  void devicesGetWhatThePlansMakeOfTheServersCheckpoints() throws Exception {
    Path files = folder.resolve("files");
    try (PostgresServer postgres = new PostgresServer();
        TestBackend backend = new TestBackend(postgres, folder.resolve("blobs"));
        TestBackend.Process process = new TestBackend.Process(
            backend,
            backend.database,
            backend.metricTables.database(),
            backend.blobs,
            (plan, checkpoint) -> ServerPlan.parse(plan).clientCheckpoint(checkpoint, files),
            new Random(1),
            backend.database)) {
      for (Plan plan : new Plan[] {TestPlans.v1(), TestPlans.v2()}) {
        String population = plan.getPhase(0).hasServerPhase() ? "first" : "second";
        TaskKey training = backend.createWithArtifacts(population, TestBackend.settings(2, TestBackend.TRAINING));
        TaskKey evaluation = backend.createWithArtifacts(population, TestBackend.settings(1, TestBackend.evaluation(
            training,
            CheckPointSelector.newBuilder().setIterationSelector(EveryKIterationsCheckpointSelector.newBuilder().setSize(1)))));
        for (TaskKey task : new TaskKey[] {training, evaluation}) {
          backend.blobs.write(backend.layout.serverPlan(task), plan.toByteArray());
        }
        backend.blobs.write(backend.layout.checkpoint(training, 0), state(1, 2));
        process.scheduler.pass();
        assertThat(TestPlans.read(backend.blobs.read(backend.layout.clientCheckpoint(training, 0)), "client/w")).containsExactly(1, 2);

        backend.round(training);
        backend.blobs.write(backend.layout.checkpoint(training, 1), state(3, 4));
        process.scheduler.pass();
        process.scheduler.pass();
        assertThat(backend.newest(evaluation).status()).isEqualTo(IterationStatus.COLLECTING);
        assertThat(TestPlans.read(backend.blobs.read(backend.layout.clientCheckpoint(evaluation, 1)), "client/w")).containsExactly(3, 4);
      }

      TaskKey broken = backend.createWithArtifacts("broken", TestBackend.settings(1, TestBackend.TRAINING));
      process.scheduler.pass();
      assertThat(backend.status(broken)).isEqualTo(TaskStatus.CREATED);
      assertThat(backend.meters.get("scheduler-failures").counter().count()).isEqualTo(1);
      assertThat(Files.list(files)).isEmpty();
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.testing.TestPlans;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Scheduler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.testing.LocalService;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The scheduler as it runs on one machine: its own schedule, real tables, blobs and TensorFlow. */
class SchedulerConfigurationTest {
  @TempDir Path folder;

  @Test
  void taskIsLedToItsEnd() throws Exception {
    try (LocalService service = new LocalService(SchedulerConfiguration.class, "", folder)) {
      Tasks tasks = service.get(Tasks.class);
      Iterations iterations = service.get(Iterations.class);
      Blobs blobs = service.get(Blobs.class);
      BlobLayout layout = service.get(BlobLayout.class);
      Optional<Instant> none = Optional.empty();
      TaskKey task = tasks.create("p", new Task.Settings(
          1, 1, 1, none, none, none, none, 0, "", new ClientVersions("0", "9"), TaskInfo.getDefaultInstance()), Instant.now()).key();
      byte[] checkpoint = TestPlans.checkpoint(new TreeMap<>(Map.of("server/w", new float[] {1, 2})));
      blobs.write(layout.checkpoint(task, 0), checkpoint);
      blobs.write(layout.clientPlan(task), new byte[] {1});
      blobs.write(layout.serverPlan(task), TestPlans.v1().toByteArray());
      LocalService.await(() -> iterations.newest(task).isPresent());
      assertThat(TestPlans.read(blobs.read(layout.clientCheckpoint(task, 0)), "client/w")).containsExactly(1, 2);

      Iteration iteration = iterations.newest(task).orElseThrow();
      assertThat(iterations.move(iteration, IterationStatus.APPLYING, 2, Instant.now())).isTrue();
      blobs.write(layout.checkpoint(task, 1), checkpoint);
      blobs.write(layout.metrics(task, 1), "{\"loss\":0.25}".getBytes(StandardCharsets.UTF_8));
      blobs.write(layout.clientCheckpoint(task, 1), checkpoint);
      LocalService.await(() -> tasks.find(task).orElseThrow().status() == TaskStatus.COMPLETED);
      LocalService.await(() -> {
        // By itself it does so once a minute.
        service.get(Scheduler.class).postProcess();
        return iterations.newest(task).orElseThrow().status() == IterationStatus.POST_PROCESSED;
      });
      assertThat(service.get("metricsDatabase", Database.class)
          .<Double>query(client -> client.sql("SELECT metric_value FROM model_metrics").query(Double.class).single())).isEqualTo(0.25);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.testing.TestPlans;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.NotReadyException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Scheduler;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/** The scheduler as it runs on one machine: its own schedule, real tables, blobs and TensorFlow. */
class SchedulerConfigurationTest {
  private static final long SECONDS = 120;

  @TempDir Path folder;

  private static void await(BooleanSupplier condition) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).isLessThan(end);
      Thread.sleep(20);
    }
  }

  private static boolean ready(AnnotationConfigApplicationContext context) {
    try {
      for (BoundedCheck check : context.getBeansOfType(BoundedCheck.class).values()) {
        check.check();
      }
      return true;
    } catch (NotReadyException notYet) {
      return false;
    }
  }

  private AnnotationConfigApplicationContext start(PrivatePostgres postgres) {
    AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext();
    context.getEnvironment().setActiveProfiles("local");
    OptionValues fcp = FcpOptions.TABLE.parse("");
    OptionValues local = LocalOptions.TABLE.parse("--database_url " + postgres.newDatabase() + " --metrics_database_url "
        + postgres.newDatabase() + " --database_user test --database_password '' --blob_folder " + folder
        + " --public_url http://127.0.0.1:8083");
    context.registerBean("fcpOptions", OptionValues.class, () -> fcp);
    context.registerBean("localOptions", OptionValues.class, () -> local);
    context.registerBean(Clock.class, Clock::systemUTC);
    context.registerBean(MeterRegistry.class, SimpleMeterRegistry::new);
    context.register(SchedulerConfiguration.class);
    context.refresh();
    return context;
  }

  @Test
  void taskIsLedToItsEnd() throws Exception {
    try (PrivatePostgres postgres = PrivatePostgres.start(); AnnotationConfigApplicationContext context = start(postgres)) {
      await(() -> ready(context));
      Tasks tasks = context.getBean(Tasks.class);
      Iterations iterations = context.getBean(Iterations.class);
      Blobs blobs = context.getBean(Blobs.class);
      BlobLayout layout = context.getBean(BlobLayout.class);
      Optional<Instant> none = Optional.empty();
      TaskKey task = tasks.create("p", new Task.Settings(
          1, 1, 1, none, none, none, none, 0, "", new ClientVersions("0", "9"), TaskInfo.getDefaultInstance()), Instant.now()).key();
      byte[] checkpoint = TestPlans.checkpoint(new TreeMap<>(Map.of("server/w", new float[] {1, 2})));
      blobs.write(layout.checkpoint(task, 0), checkpoint);
      blobs.write(layout.clientPlan(task), new byte[] {1});
      blobs.write(layout.serverPlan(task), TestPlans.v1().toByteArray());
      await(() -> iterations.newest(task).isPresent());
      assertThat(TestPlans.read(blobs.read(layout.clientCheckpoint(task, 0)), "client/w")).containsExactly(1, 2);

      Iteration iteration = iterations.newest(task).orElseThrow();
      assertThat(iterations.move(iteration, IterationStatus.APPLYING, 2, Instant.now())).isTrue();
      blobs.write(layout.checkpoint(task, 1), checkpoint);
      blobs.write(layout.metrics(task, 1), "{\"loss\":0.25}".getBytes(StandardCharsets.UTF_8));
      blobs.write(layout.clientCheckpoint(task, 1), checkpoint);
      await(() -> tasks.find(task).orElseThrow().status() == TaskStatus.COMPLETED);
      await(() -> {
        // By itself it does so once a minute.
        context.getBean(Scheduler.class).postProcess();
        return iterations.newest(task).orElseThrow().status() == IterationStatus.POST_PROCESSED;
      });
      assertThat(context.getBean("metricsDatabase", Database.class)
          .<Double>query(client -> client.sql("SELECT metric_value FROM model_metrics").query(Double.class).single())).isEqualTo(0.25);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobStore;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.MetricTables;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.TaskTables;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ModelMetrics;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Artifacts;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Candidates;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Opening;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.PostProcessing;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Rounds;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Scheduler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes.Transitions;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;

/** The task scheduler as beans. */
@EnableScheduling
@Import({BlobStore.class, MetricTables.class, TaskTables.class})
public class SchedulerConfiguration {
  // Passes and metrics do not wait for each other.
  private static final int THREADS = 2;
  private static final Duration LAST_PASS = Duration.ofSeconds(20);

  /** The options without which there is none. */
  static List<Option<?>> needs(StartOptions options) {
    return Stream.of(BlobStore.needs(options), TaskTables.needs(options), MetricTables.needs(options))
        .<Option<?>>flatMap(List::stream)
        .distinct()
        .toList();
  }

  /** When the scheduler does what. */
  static final class Schedule {
    private final Scheduler scheduler;

    Schedule(Scheduler scheduler) {
      this.scheduler = scheduler;
    }

    @Scheduled(fixedDelay = 200)
    void pass() {
      scheduler.pass();
    }

    @Scheduled(fixedDelay = 60_000)
    void postProcess() {
      scheduler.postProcess();
    }
  }

  @Bean
  Schedule schedule(Scheduler scheduler) {
    return new Schedule(scheduler);
  }

  @Bean
  ThreadPoolTaskScheduler taskScheduler() {
    ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
    scheduler.setPoolSize(THREADS);
    scheduler.setThreadNamePrefix("scheduler-");
    scheduler.setWaitForTasksToCompleteOnShutdown(true);
    scheduler.setAwaitTerminationSeconds((int) LAST_PASS.toSeconds());
    return scheduler;
  }

  @Bean
  Transitions transitions(Tasks tasks, Iterations iterations, MeterRegistry meters, Clock clock) {
    return new Transitions(tasks, iterations, meters, clock);
  }

  @Bean
  Artifacts artifacts(Blobs blobs, BlobLayout layout) {
    Path files = Path.of(System.getProperty("java.io.tmpdir"));
    return new Artifacts(blobs, layout, (plan, checkpoint) -> ServerPlan.parse(plan).clientCheckpoint(checkpoint, files));
  }

  @Bean
  Opening opening(Artifacts artifacts, Transitions transitions, Clock clock) {
    return new Opening(artifacts, transitions, clock);
  }

  @Bean
  Rounds rounds(Iterations iterations, Artifacts artifacts, Transitions transitions, Clock clock) {
    return new Rounds(iterations, artifacts, new Candidates(iterations, clock), transitions, new SecureRandom(), clock);
  }

  @Bean
  PostProcessing postProcessing(
      @Qualifier("metricsDatabase") Database metrics, Blobs blobs, BlobLayout layout, Transitions transitions, Clock clock) {
    return new PostProcessing(new ModelMetrics(metrics), blobs, layout, transitions, clock);
  }

  @Bean
  Scheduler scheduler(
      Tasks tasks,
      Iterations iterations,
      Opening opening,
      Rounds rounds,
      PostProcessing postProcessing,
      Locks locks,
      MeterRegistry meters,
      Clock clock) {
    return new Scheduler(tasks, iterations, opening, rounds, postProcessing, locks, meters, clock);
  }
}

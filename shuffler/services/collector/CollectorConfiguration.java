package com.google.ondevicepersonalization.federatedcompute.shuffler.collector;

import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Aggregating;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Collecting;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Collector;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.CollectorSettings;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Failures;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Presence;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Timeouts;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Transitions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobStore;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.MessageQueue;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.QueueNames;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.TaskTables;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.NotificationEndpoint;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import io.micrometer.core.instrument.MeterRegistry;
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

/** The collector as beans. */
@EnableScheduling
@Import({BlobStore.class, MessageQueue.class, TaskTables.class})
public class CollectorConfiguration {
  // Passes and timeouts do not wait for each other.
  private static final int THREADS = 2;
  private static final int NOTIFICATIONS_AT_A_TIME = 4;
  private static final Duration LAST_PASS = Duration.ofSeconds(20);

  /** The options without which there is none. */
  static List<Option<?>> needs(StartOptions options) {
    return Stream.of(
            BlobStore.needs(options),
            TaskTables.needs(options),
            MessageQueue.needs(options, List.of(
                FcpOptions.AGGREGATOR_PUBSUB_TOPIC,
                FcpOptions.MODEL_UPDATER_PUBSUB_TOPIC,
                FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC,
                FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION)))
        .<Option<?>>flatMap(List::stream)
        .distinct()
        .toList();
  }

  /** When the collector does what. */
  static final class Schedule {
    private final Collector collector;

    Schedule(Collector collector) {
      this.collector = collector;
    }

    @Scheduled(fixedDelay = 200)
    void pass() {
      collector.pass();
    }

    @Scheduled(fixedDelay = 60_000)
    void timeouts() {
      collector.timeouts();
    }
  }

  @Bean
  Schedule schedule(Collector collector) {
    return new Schedule(collector);
  }

  @Bean
  ThreadPoolTaskScheduler taskScheduler() {
    ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
    scheduler.setPoolSize(THREADS);
    scheduler.setThreadNamePrefix("collector-");
    scheduler.setWaitForTasksToCompleteOnShutdown(true);
    scheduler.setAwaitTerminationSeconds((int) LAST_PASS.toSeconds());
    return scheduler;
  }

  @Bean
  CollectorSettings collectorSettings(@Qualifier("fcpOptions") OptionValues fcp, QueueNames names) {
    return new CollectorSettings(
        fcp.get(FcpOptions.COLLECTOR_BATCH_SIZE).orElseThrow(),
        fcp.get(FcpOptions.AGGREGATION_BATCH_FAILURE_THRESHOLD),
        fcp.get(FcpOptions.LOCAL_COMPUTE_TIMEOUT).orElseThrow(),
        fcp.get(FcpOptions.UPLOAD_TIMEOUT).orElseThrow(),
        names.aggregatorTopic(),
        names.modelUpdaterTopic(),
        new NotificationEndpoint(fcp.get(FcpOptions.PROJECT_ID).orElse("local"), names.notificationTopic()));
  }

  @Bean
  Transitions transitions(
      Iterations iterations,
      Assignments assignments,
      Batches batches,
      CollectorSettings settings,
      MeterRegistry meters,
      Clock clock) {
    return new Transitions(iterations, assignments, batches, settings, meters, clock);
  }

  @Bean
  Presence presence(Blobs blobs) {
    return new Presence(blobs);
  }

  @Bean
  Collecting collecting(
      Assignments assignments,
      Batches batches,
      Transitions transitions,
      Presence presence,
      BlobLayout layout,
      Messages messages,
      CollectorSettings settings) {
    return new Collecting(assignments, batches, transitions, presence, layout, messages, settings);
  }

  @Bean
  Aggregating aggregating(
      Batches batches,
      Transitions transitions,
      Presence presence,
      BlobLayout layout,
      Messages messages,
      CollectorSettings settings) {
    return new Aggregating(batches, transitions, presence, layout, messages, settings);
  }

  @Bean
  Timeouts timeouts(
      Assignments assignments,
      Transitions transitions,
      Presence presence,
      BlobLayout layout,
      CollectorSettings settings,
      Clock clock) {
    return new Timeouts(assignments, transitions, presence, layout, settings, clock);
  }

  @Bean
  Collector collector(
      Iterations iterations,
      Collecting collecting,
      Aggregating aggregating,
      Timeouts timeouts,
      Locks locks,
      MeterRegistry meters,
      Clock clock) {
    return new Collector(iterations, collecting, aggregating, timeouts, locks, meters, clock);
  }

  @Bean
  Subscription notifications(
      Iterations iterations, Batches batches, Transitions transitions, Locks locks, Messages messages, QueueNames names) {
    return messages.subscribe(
        names.notificationSubscription(), NOTIFICATIONS_AT_A_TIME, new Failures(iterations, batches, transitions, locks));
  }

  @Bean
  BoundedCheck messagesCheck(Messages messages, QueueNames names) {
    return MessageQueue.check(
        messages, List.of(names.aggregatorTopic(), names.modelUpdaterTopic()), List.of(names.notificationSubscription()));
  }
}

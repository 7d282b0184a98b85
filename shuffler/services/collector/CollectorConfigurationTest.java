package com.google.ondevicepersonalization.federatedcompute.shuffler.collector;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.QueueNames;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregationNotification;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregatorMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.NotReadyException;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/** The collector as it runs on one machine: its own schedule, real tables, blobs and queues. */
class CollectorConfigurationTest {
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

  private AnnotationConfigApplicationContext start(String database) {
    AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext();
    context.getEnvironment().setActiveProfiles("local");
    OptionValues fcp = FcpOptions.TABLE.parse("--collector_batch_size 2");
    OptionValues local = LocalOptions.TABLE.parse("--database_url " + database + " --database_user test --database_password ''"
        + " --blob_folder " + folder + " --public_url http://127.0.0.1:8083");
    context.registerBean("fcpOptions", OptionValues.class, () -> fcp);
    context.registerBean("localOptions", OptionValues.class, () -> local);
    context.registerBean(Clock.class, Clock::systemUTC);
    context.registerBean(MeterRegistry.class, SimpleMeterRegistry::new);
    context.register(CollectorConfiguration.class);
    context.refresh();
    return context;
  }

  @Test
  void iterationIsCollectedAggregatedAndHandedOn() throws Exception {
    try (PrivatePostgres postgres = PrivatePostgres.start(); AnnotationConfigApplicationContext context = start(postgres.newDatabase())) {
      await(() -> ready(context));
      Messages messages = context.getBean(Messages.class);
      QueueNames names = context.getBean(QueueNames.class);
      Iterations iterations = context.getBean(Iterations.class);
      BlockingQueue<Message> batches = new LinkedBlockingQueue<>();
      BlockingQueue<Message> updates = new LinkedBlockingQueue<>();
      try (Subscription aggregator = messages.subscribe(names.aggregatorSubscription(), 1, batches::add);
          Subscription updater = messages.subscribe(names.modelUpdaterSubscription(), 1, updates::add)) {
        Iteration iteration = begin(context);
        contribute(context, iteration);
        contribute(context, iteration);
        // The first batch fails, so there is another one.
        AggregatorMessage failed = AggregatorMessage.parse(batches.poll(SECONDS, TimeUnit.SECONDS).data());
        assertThat(failed.gradients()).hasSize(2);
        await(() -> iterations.find(iteration.key()).orElseThrow().status() == IterationStatus.AGGREGATING);
        messages.publish(
            names.notificationTopic(),
            AggregationNotification.error(failed.requestId(), AggregationNotification.ErrorReason.DECRYPTION_ERROR).toMessage());
        await(() -> iterations.find(iteration.key()).orElseThrow().status() == IterationStatus.COLLECTING);
        contribute(context, iteration);
        contribute(context, iteration);
        AggregatorMessage good = AggregatorMessage.parse(batches.poll(SECONDS, TimeUnit.SECONDS).data());
        BlobLayout layout = context.getBean(BlobLayout.class);
        context.getBean(Blobs.class)
            .write(layout.inAggregates(good.aggregatedGradientOutputBucket(), good.aggregatedGradientOutputObject()), new byte[] {1});
        ModelUpdaterMessage update = ModelUpdaterMessage.parse(updates.poll(SECONDS, TimeUnit.SECONDS).data());
        assertThat(update.intermediateGradients()).hasSize(1);
        await(() -> iterations.find(iteration.key()).orElseThrow().status() == IterationStatus.APPLYING);
      }
    }
  }

  private static Iteration begin(AnnotationConfigApplicationContext context) {
    TaskInfo info = TaskInfo.getDefaultInstance();
    ClientVersions any = new ClientVersions("0", "9");
    Optional<Instant> none = Optional.empty();
    Task task = context.getBean(Tasks.class)
        .create("p", new Task.Settings(1, 2, 2, none, none, none, none, 0, "", any, info), Instant.now());
    IterationKey key = new IterationKey(task.key(), 1, 0);
    context.getBean(Iterations.class)
        .begin(key, new Iteration.Settings(0, 0, 1, 2, 2, any, IterationInfo.getDefaultInstance()), Instant.now());
    return context.getBean(Iterations.class).find(key).orElseThrow();
  }

  private static void contribute(AnnotationConfigApplicationContext context, Iteration iteration) {
    AssignmentKey key = new AssignmentKey(iteration.key(), Long.toString(System.nanoTime()));
    Assignments assignments = context.getBean(Assignments.class);
    assertThat(assignments.assign(key, "", Instant.now())).isEqualTo(Assignments.Outcome.ASSIGNED);
    assertThat(assignments.report(key, AssignmentStatus.LOCAL_COMPLETED, Instant.now())).isTrue();
    context.getBean(Blobs.class)
        .write(context.getBean(BlobLayout.class).upload(iteration.key().task(), 1, key.session()), new byte[] {1});
  }
}

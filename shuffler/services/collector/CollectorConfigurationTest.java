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
import com.google.ondevicepersonalization.federatedcompute.shuffler.testing.LocalService;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The collector as it runs on one machine: its own schedule, real tables, blobs and queues. */
class CollectorConfigurationTest {
  @TempDir Path folder;

  @Test
  void iterationIsCollectedAggregatedAndHandedOn() throws Exception {
    try (LocalService service = new LocalService(CollectorConfiguration.class, "--collector_batch_size 2", folder)) {
      Messages messages = service.get(Messages.class);
      QueueNames names = service.get(QueueNames.class);
      Iterations iterations = service.get(Iterations.class);
      BlockingQueue<Message> batches = new LinkedBlockingQueue<>();
      BlockingQueue<Message> updates = new LinkedBlockingQueue<>();
      try (Subscription aggregator = messages.subscribe(names.aggregatorSubscription(), 1, batches::add);
          Subscription updater = messages.subscribe(names.modelUpdaterSubscription(), 1, updates::add)) {
        Iteration iteration = begin(service);
        contribute(service, iteration);
        contribute(service, iteration);
        // The first batch fails, so there is another one.
        AggregatorMessage failed = AggregatorMessage.parse(batches.poll(LocalService.SECONDS, TimeUnit.SECONDS).data());
        assertThat(failed.gradients()).hasSize(2);
        LocalService.await(() -> iterations.find(iteration.key()).orElseThrow().status() == IterationStatus.AGGREGATING);
        messages.publish(
            names.notificationTopic(),
            AggregationNotification.error(failed.requestId(), AggregationNotification.ErrorReason.DECRYPTION_ERROR).toMessage());
        LocalService.await(() -> iterations.find(iteration.key()).orElseThrow().status() == IterationStatus.COLLECTING);
        contribute(service, iteration);
        contribute(service, iteration);
        AggregatorMessage good = AggregatorMessage.parse(batches.poll(LocalService.SECONDS, TimeUnit.SECONDS).data());
        BlobLayout layout = service.get(BlobLayout.class);
        service.get(Blobs.class)
            .write(layout.inAggregates(good.aggregatedGradientOutputBucket(), good.aggregatedGradientOutputObject()), new byte[] {1});
        ModelUpdaterMessage update = ModelUpdaterMessage.parse(updates.poll(LocalService.SECONDS, TimeUnit.SECONDS).data());
        assertThat(update.intermediateGradients()).hasSize(1);
        LocalService.await(() -> iterations.find(iteration.key()).orElseThrow().status() == IterationStatus.APPLYING);
      }
    }
  }

  private static Iteration begin(LocalService service) {
    TaskInfo info = TaskInfo.getDefaultInstance();
    ClientVersions any = new ClientVersions("0", "9");
    Optional<Instant> none = Optional.empty();
    Task task = service.get(Tasks.class)
        .create("p", new Task.Settings(1, 2, 2, none, none, none, none, 0, "", any, info), Instant.now());
    IterationKey key = new IterationKey(task.key(), 1, 0);
    service.get(Iterations.class)
        .begin(key, new Iteration.Settings(0, 0, 1, 2, 2, any, IterationInfo.getDefaultInstance()), Instant.now());
    return service.get(Iterations.class).find(key).orElseThrow();
  }

  private static void contribute(LocalService service, Iteration iteration) {
    AssignmentKey key = new AssignmentKey(iteration.key(), Long.toString(System.nanoTime()));
    Assignments assignments = service.get(Assignments.class);
    assertThat(assignments.assign(key, "", Instant.now())).isEqualTo(Assignments.Outcome.ASSIGNED);
    assertThat(assignments.report(key, AssignmentStatus.LOCAL_COMPLETED, Instant.now())).isTrue();
    service.get(Blobs.class)
        .write(service.get(BlobLayout.class).upload(iteration.key().task(), 1, key.session()), new byte[] {1});
  }
}

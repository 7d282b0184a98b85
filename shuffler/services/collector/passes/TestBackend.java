package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregationNotification;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregatorMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.NotificationEndpoint;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestDatabase;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/** What surrounds collectors: real tables and blobs, queues that a test looks into, a clock that it turns, and stand-ins for the rest. */
final class TestBackend implements AutoCloseable {
  static final Duration COMPUTE = Duration.ofMinutes(10);
  static final Duration UPLOAD = Duration.ofMinutes(15);
  static final NotificationEndpoint ENDPOINT = new NotificationEndpoint("p", "notifications");

  private static final TaskInfo TRAINING = TaskInfo.newBuilder().setTrainingInfo(TrainingInfo.getDefaultInstance()).build();
  private static final ClientVersions ANY = new ClientVersions("0", "999999999");

  /** Topics that keep what is published, in no order that a test may rely on. */
  static final class Queues implements Messages {
    final List<Message> aggregator = Collections.synchronizedList(new ArrayList<>());
    final List<Message> modelUpdater = Collections.synchronizedList(new ArrayList<>());

    @Override
    public void publish(String topic, Message message) {
      (topic.equals("aggregator") ? aggregator : modelUpdater).add(message);
    }

    @Override
    public Subscription subscribe(String subscription, int maxOutstanding, MessageHandler handler) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void checkSubscription(String subscription) {}

    @Override
    public void checkTopic(String topic) {}
  }

  final TestClock clock = new TestClock();
  final Queues queues = new Queues();
  final BlobLayout layout = new BlobLayout("fcp-test-m-%s", "fcp-test-g-%s", "fcp-test-a-%s");
  final MeterRegistry meters = new SimpleMeterRegistry();
  final TestDatabase tables;
  final Database database;
  final Tasks tasks;
  final Iterations iterations;
  final Assignments assignments;
  final Batches batches;
  final FileBlobs blobs;

  TestBackend(TestServer server, Path folder) {
    tables = server.newDatabase(Schema.TASKS::migrate);
    database = tables.database();
    tasks = new Tasks(database);
    iterations = new Iterations(database);
    assignments = new Assignments(database);
    batches = new Batches(database);
    blobs = new FileBlobs(folder, new LocalUrls(URI.create("http://localhost"), new byte[32], clock), 1 << 20);
  }

  static CollectorSettings settings(int batchSize, Optional<Long> failureThreshold) {
    return new CollectorSettings(batchSize, failureThreshold, COMPUTE, UPLOAD, "aggregator", "model_updater", ENDPOINT);
  }

  /** A collector's process: what it has in its memory goes away with it. */
  static final class Process implements AutoCloseable {
    final Collector collector;
    final Failures failures;

    private final Presence presence;
    private final Locks locks;

    Process(TestBackend backend, CollectorSettings settings, Database database, Blobs blobs, Messages messages, Database lockDatabase) {
      Iterations iterations = new Iterations(database);
      Assignments assignments = new Assignments(database);
      Batches batches = new Batches(database);
      Transitions transitions = new Transitions(iterations, assignments, batches, settings, backend.meters, backend.clock);
      presence = new Presence(blobs);
      locks = new Locks(lockDatabase);
      collector = new Collector(
          iterations,
          new Collecting(assignments, batches, transitions, presence, backend.layout, messages, settings),
          new Aggregating(batches, transitions, presence, backend.layout, messages, settings),
          new Timeouts(assignments, transitions, presence, backend.layout, settings, backend.clock),
          locks,
          backend.meters,
          backend.clock);
      failures = new Failures(iterations, batches, transitions, locks);
    }

    @Override
    public void close() {
      presence.close();
      locks.close();
    }
  }

  Process process(CollectorSettings settings) {
    return new Process(this, settings, database, blobs, queues, database);
  }

  static Iteration.Settings settings(long result, long goal, long max) {
    return new Iteration.Settings(
        result - 1, result - 1, result, goal, max, ANY, IterationInfo.newBuilder().setTaskInfo(TRAINING).build());
  }

  /** Begins the first iteration of a new task. */
  Iteration begin(long goal, long max) {
    TaskKey task = tasks.create("p", new Task.Settings(
        1000, goal, max, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), 0, "", ANY, TRAINING), clock.instant())
        .key();
    tasks.move(task, TaskStatus.CREATED, TaskStatus.OPEN, clock.instant());
    IterationKey key = new IterationKey(task, 1, 0);
    iterations.begin(key, settings(1, goal, max), clock.instant());
    return iterations.find(key).orElseThrow();
  }

  Iteration read(Iteration iteration) {
    return iterations.find(iteration.key()).orElseThrow();
  }

  /** A device that checks in, if there is room. */
  Optional<AssignmentKey> checkIn(Iteration iteration) {
    AssignmentKey key = new AssignmentKey(iteration.key(), UUID.randomUUID().toString());
    return assignments.assign(key, "", clock.instant()) == Assignments.Outcome.ASSIGNED ? Optional.of(key) : Optional.empty();
  }

  void report(AssignmentKey key) {
    assignments.report(key, AssignmentStatus.LOCAL_COMPLETED, clock.instant());
  }

  /** The contribution says whose it is. */
  void upload(AssignmentKey key) {
    long result = iterations.find(key.iteration()).orElseThrow().settings().result();
    blobs.write(layout.upload(key.iteration().task(), result, key.session()), key.session().getBytes(StandardCharsets.UTF_8));
  }

  /** A device that does all that is asked of it. */
  AssignmentKey contribute(Iteration iteration) {
    AssignmentKey key = checkIn(iteration).orElseThrow();
    report(key);
    upload(key);
    return key;
  }

  /** Does what the aggregator does: the sum says whose contributions are in it. */
  void aggregate(Message message) {
    AggregatorMessage request = AggregatorMessage.parse(message.data());
    StringBuilder sum = new StringBuilder();
    for (String gradient : request.gradients()) {
      sum.append(text(layout.inUploads(request.gradientBucket(), request.gradientPrefix() + gradient))).append('\n');
    }
    blobs.write(
        layout.inAggregates(request.aggregatedGradientOutputBucket(), request.aggregatedGradientOutputObject()),
        sum.toString().getBytes(StandardCharsets.UTF_8));
  }

  static Message failure(Message message) {
    return AggregationNotification.error(
        AggregatorMessage.parse(message.data()).requestId(), AggregationNotification.ErrorReason.AGGREGATION_ERROR).toMessage();
  }

  /** Does what the model updater does: the new model says whose contributions are in it. These are returned. */
  List<String> update(Message message) {
    ModelUpdaterMessage request = ModelUpdaterMessage.parse(message.data());
    StringBuilder model = new StringBuilder();
    for (String sum : request.intermediateGradients()) {
      model.append(text(layout.inAggregates(request.intermediateGradientBucket(), request.intermediateGradientPrefix() + sum)));
    }
    byte[] bytes = model.toString().getBytes(StandardCharsets.UTF_8);
    blobs.write(layout.inModels(request.newCheckpointOutputBucket().orElseThrow(), request.newCheckpointOutputObject().orElseThrow()), bytes);
    blobs.write(layout.inModels(request.metricsOutputBucket(), request.metricsOutputObject()), bytes);
    blobs.write(
        layout.inModels(
            request.newClientCheckpointOutputBucket().orElseThrow(), request.newClientCheckpointOutputObject().orElseThrow()),
        bytes);
    return Arrays.asList(model.toString().split("\n"));
  }

  private String text(BlobName name) {
    try {
      return new String(blobs.read(name), StandardCharsets.UTF_8);
    } catch (BlobNotFoundException missing) {
      throw new IllegalStateException("a contribution is lost: " + missing.getMessage(), missing);
    }
  }

  List<Long> column(String query) {
    return database.query(client -> client.sql(query).query(Long.class).list());
  }

  List<Map<String, Object>> rows(String query) {
    return database.query(client -> client.sql(query).query().listOfRows());
  }

  @Override
  public void close() {
    tables.close();
  }
}

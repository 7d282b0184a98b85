package com.google.ondevicepersonalization.federatedcompute.shuffler.aggregator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Aggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Reduction;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.RejectedException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.KeyServiceException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.LocalKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregationNotification;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregatorMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Batches whose contributions are numbers in decimal. */
class BatchAggregatorTest {
  private static final TaskKey TASK = new TaskKey("population", 1);
  private static final int LIMIT = 1 << 16;

  @TempDir Path folder;

  private final BlobLayout layout = new BlobLayout("fcp-test-m-%s", "fcp-test-g-%s", "fcp-test-a-%s");
  private final ExecutorService threads = Executors.newFixedThreadPool(3);
  private final List<Message> sent = new ArrayList<>();
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private FileBlobs blobs;
  private LocalKeys keys;
  private Payloads payloads;
  private boolean keysAnswer = true;

  /** Adds numbers. */
  private static final class Sum implements Aggregation {
    private long total;

    @Override
    public void addContribution(byte[] checkpoint) throws RejectedException {
      try {
        total += Long.parseLong(new String(checkpoint, StandardCharsets.UTF_8));
      } catch (NumberFormatException malformed) {
        throw new RejectedException("expected a number", malformed);
      }
    }

    @Override
    public void addIntermediate(byte[] intermediate) throws RejectedException {
      addContribution(intermediate);
    }

    @Override
    public byte[] toIntermediate() {
      return Long.toString(total).getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void close() {}
  }

  /** Remembers what is sent. */
  private final class SentMessages implements Messages {
    @Override
    public void publish(String topic, Message message) {
      assertThat(topic).isEqualTo("notifications");
      sent.add(message);
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

  @BeforeEach
  void makePlan() {
    byte[] key = LocalUrls.sharedKey(folder);
    blobs = new FileBlobs(folder.resolve("blobs"), new LocalUrls(URI.create("http://localhost"), key, Clock.systemUTC()), LIMIT);
    keys = new LocalKeys(folder);
    payloads = new Payloads(keys, id -> {
      if (!keysAnswer) {
        throw new KeyServiceException("no answer");
      }
      return keys.find(id);
    }, LIMIT);
    Plan.Builder plan = Plan.newBuilder();
    plan.addPhaseBuilder().setServerPhaseV2(ServerPhaseV2.getDefaultInstance());
    blobs.write(layout.serverPlan(TASK), plan.build().toByteArray());
  }

  @AfterEach
  void stop() {
    threads.shutdownNow();
  }

  private BatchAggregator aggregator(boolean encrypt, boolean notifySuccess) {
    return new BatchAggregator(
        blobs,
        layout,
        payloads,
        plan -> new Sum(),
        new Reduction(threads, 3),
        new SentMessages(),
        new BatchAggregator.Settings(encrypt, notifySuccess, "notifications"),
        meters);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private AggregatorMessage message(List<String> sessions) {
    BlobName output = layout.aggregate(TASK, 1, 0, "batch");
    return new AggregatorMessage(
        false,
        layout.serverPlan(TASK).bucket(),
        layout.serverPlan(TASK).key(),
        layout.uploadBucket(),
        layout.uploads(TASK, 1) + "/",
        sessions.stream().map(session -> session + "/gradient").toList(),
        output.bucket(),
        output.key(),
        "population/1/1/0_batch",
        "https://pubsub.googleapis.com/v1/projects/p/topics/notifications:publish");
  }

  /** Uploads as devices do, and asks for their sum. */
  private Message batch(List<byte[]> uploads) {
    List<String> sessions = IntStream.range(0, uploads.size()).mapToObj(i -> "session" + i).toList();
    for (int i = 0; i < uploads.size(); i++) {
      blobs.write(layout.upload(TASK, 1, sessions.get(i)), uploads.get(i));
    }
    return message(sessions).toMessage();
  }

  private byte[] output() throws Exception {
    return blobs.read(layout.aggregate(TASK, 1, 0, "batch"));
  }

  private boolean hasOutput() {
    return blobs.exists(layout.aggregate(TASK, 1, 0, "batch"));
  }

  @Test
  void sumOfEncryptedContributionsIsEncrypted() throws Exception {
    List<byte[]> uploads = IntStream.rangeClosed(1, 50).mapToObj(i -> payloads.seal(bytes("" + i))).toList();
    aggregator(true, false).handle(batch(uploads));
    assertThat(output()).startsWith(bytes("{\"keyId\""));
    assertThat(payloads.open(output())).isEqualTo(bytes("1275"));
    assertThat(sent).isEmpty();
    assertThat(meters.counter("contributions", "result", "COUNTED").count()).isEqualTo(50);
  }

  @Test
  void sumIsNotEncryptedIfTheImageSaysSo() throws Exception {
    aggregator(false, true).handle(batch(List.of(bytes("1"), payloads.seal(bytes("2")))));
    assertThat(output()).isEqualTo(bytes("3"));
    assertThat(sent).containsExactly(AggregationNotification.ok("population/1/1/0_batch").toMessage());
  }

  @Test
  void messageThatComesAgainChangesNothingAndIsAnsweredAgain() throws Exception {
    Message batch = batch(List.of(bytes("1"), bytes("2")));
    BatchAggregator aggregator = aggregator(true, true);
    aggregator.handle(batch);
    byte[] first = output();
    aggregator.handle(batch);
    assertThat(output()).isEqualTo(first);
    assertThat(sent).hasSize(2);
  }

  @Test
  void badContributionsDoNotHarmTheOthers() throws Exception {
    Message batch = batch(List.of(bytes("1"), bytes("x"), payloads.seal(bytes("2")), bytes("{"), bytes("4"), bytes("8")));
    // Not even gzip, as it comes from a device.
    blobs.store(layout.upload(TASK, 1, "session4"), Encoding.GZIP, new ByteArrayInputStream(bytes("4")));
    aggregator(false, true).handle(batch);
    assertThat(output()).isEqualTo(bytes("11"));
    assertThat(sent).containsExactly(AggregationNotification.ok("population/1/1/0_batch").toMessage());
    assertThat(meters.counter("contributions", "result", "NOT_AGGREGATED").count()).isEqualTo(1);
    assertThat(meters.counter("contributions", "result", "NOT_DECRYPTED").count()).isEqualTo(2);
  }

  @Test
  void batchOfWhichFewerThanHalfCountFails() throws Exception {
    aggregator(false, false).handle(batch(List.of(bytes("1"), bytes("x"), bytes("y"))));
    assertThat(hasOutput()).isFalse();
    assertThat(sent).containsExactly(
        AggregationNotification.error("population/1/1/0_batch", AggregationNotification.ErrorReason.AGGREGATION_ERROR).toMessage());
  }

  @Test
  void unknownKeyIsADecryptionError() throws Exception {
    LocalKeys other = new LocalKeys(folder.resolve("other"));
    aggregator(false, false).handle(batch(List.of(new Payloads(other, other, LIMIT).seal(bytes("1")))));
    assertThat(sent).containsExactly(
        AggregationNotification.error("population/1/1/0_batch", AggregationNotification.ErrorReason.DECRYPTION_ERROR).toMessage());
  }

  @Test
  void missingPlanOrContributionsAreUnknownErrors() throws Exception {
    AggregationNotification error =
        AggregationNotification.error("population/1/1/0_batch", AggregationNotification.ErrorReason.UNKNOWN_ERROR);
    aggregator(false, false).handle(message(List.of("nobody")).toMessage());
    blobs.store(layout.serverPlan(TASK), Encoding.IDENTITY, new ByteArrayInputStream(bytes("no plan")));
    aggregator(false, false).handle(batch(List.of(bytes("1"))));
    assertThat(sent).containsExactly(error.toMessage(), error.toMessage());
  }

  @Test
  void keyServiceThatDoesNotAnswerMeansLater() throws Exception {
    Message batch = batch(List.of(payloads.seal(bytes("1")), bytes("2")));
    keysAnswer = false;
    assertThatThrownBy(() -> aggregator(false, false).handle(batch)).isInstanceOf(KeyServiceException.class);
    assertThat(hasOutput()).isFalse();
    assertThat(sent).isEmpty();
    keysAnswer = true;
    aggregator(false, false).handle(batch);
    assertThat(output()).isEqualTo(bytes("3"));
  }

  @Test
  void namesThatLeadElsewhereAreRefused() throws Exception {
    String good = batch(List.of(bytes("1"))).data();
    for (String bad : List.of(
        good.replace("session0/gradient", "../../../secret"),
        good.replace("\"gradientBucket\":\"fcp-test-g-0\"", "\"gradientBucket\":\"fcp-test-m-0\""),
        good.replace("\"serverPlanBucket\":\"fcp-test-m-0\"", "\"serverPlanBucket\":\"other-bucket\""),
        good.replace("\"aggregatedGradientOutputBucket\":\"fcp-test-a-0\"", "\"aggregatedGradientOutputBucket\":\"fcp-test-m-0\""))) {
      assertThat(bad).isNotEqualTo(good);
      aggregator(false, false).handle(new Message(bad, Map.of()));
    }
    assertThat(sent).hasSize(4).allMatch(message -> message.attributes().get("errorReason").equals("UNKNOWN_ERROR"));
    assertThat(hasOutput()).isFalse();
  }

  @Test
  void messageOfSomebodyElseIsNotHandled() {
    Message elsewhere = new Message(batch(List.of(bytes("1"))).data().replace("topics/notifications", "topics/others"), Map.of());
    assertThatThrownBy(() -> aggregator(false, true).handle(elsewhere))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("expected the topic notifications");
    assertThat(hasOutput()).isFalse();
    assertThatThrownBy(() -> aggregator(false, false).handle(new Message("{}", Map.of()))).isInstanceOf(IllegalArgumentException.class);
  }
}

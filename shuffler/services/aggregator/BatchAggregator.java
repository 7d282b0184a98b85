package com.google.ondevicepersonalization.federatedcompute.shuffler.aggregator;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Aggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.EncryptedInputs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Reduction.Refusal;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Reduction;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.DamagedBlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregationNotification;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregatorMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.NotificationEndpoint;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PlanException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Aggregates batches of device uploads: decrypts each, sums them by the task's plan, and leaves the encrypted sum.
 *
 * <p>A contribution that is missing, cannot be decrypted or is not what the plan asks for does not count, and does not harm the others. If
 * fewer than half of a batch are left, nothing is published, since the sum would be of too few; the collector is told. What may succeed
 * later is thrown, so that the message comes again.
 */
public final class BatchAggregator {
  private static final Logger LOG = LoggerFactory.getLogger(BatchAggregator.class);

  /**
   * What a deployment decides.
   *
   * @param encryptOutput whether the sum is encrypted
   * @param notifySuccess whether the collector is told of successes, too
   * @param notificationTopic where notifications go
   */
  public record Settings(boolean encryptOutput, boolean notifySuccess, String notificationTopic) {}

  private final Blobs blobs;
  private final BlobLayout layout;
  private final Payloads payloads;
  private final EncryptedInputs inputs;
  private final Function<ServerPlan, Aggregation> aggregations;
  private final Reduction reduction;
  private final Messages messages;
  private final Settings settings;
  private final MeterRegistry meters;

  /** A batch that cannot be aggregated, however often it is tried. */
  private static final class HopelessException extends Exception {
    private static final long serialVersionUID = 1;

    private final AggregationNotification.ErrorReason reason;

    HopelessException(AggregationNotification.ErrorReason reason, String message) {
      super(message);
      this.reason = reason;
    }
  }

  public BatchAggregator(
      Blobs blobs,
      BlobLayout layout,
      Payloads payloads,
      Function<ServerPlan, Aggregation> aggregations,
      Reduction reduction,
      Messages messages,
      Settings settings,
      MeterRegistry meters) {
    this.blobs = blobs;
    this.layout = layout;
    this.payloads = payloads;
    this.inputs = new EncryptedInputs(blobs, payloads);
    this.aggregations = aggregations;
    this.reduction = reduction;
    this.messages = messages;
    this.settings = settings;
    this.meters = meters;
  }

  /**
   * Aggregates one batch. It may be asked for again: then nothing is done twice.
   *
   * @throws Exception if it may succeed later, or if the message is none of the collector's
   */
  public void handle(Message message) throws Exception {
    AggregatorMessage batch = AggregatorMessage.parse(message.data());
    // A message does not decide who is told.
    String topic = NotificationEndpoint.parse(batch.notificationEndpoint()).topic();
    if (!topic.equals(settings.notificationTopic())) {
      throw new IllegalArgumentException("notificationEndpoint: expected the topic " + settings.notificationTopic() + ", found " + topic);
    }
    Timer.Sample sample = Timer.start(meters);
    Optional<AggregationNotification> notification;
    String result;
    try {
      aggregate(batch);
      notification = settings.notifySuccess() ? Optional.of(AggregationNotification.ok(batch.requestId())) : Optional.empty();
      result = "OK";
    } catch (HopelessException hopeless) {
      LOG.warn("batch {} is not aggregated: {}", batch.requestId(), hopeless.getMessage());
      notification = Optional.of(AggregationNotification.error(batch.requestId(), hopeless.reason));
      result = hopeless.reason.name();
    }
    // If this fails the message comes again, and so does the notification.
    notification.ifPresent(text -> messages.publish(topic, text.toMessage()));
    sample.stop(meters.timer("aggregate-batch", "result", result));
  }

  private void aggregate(AggregatorMessage batch) throws Exception {
    BlobName output;
    BlobName plan;
    List<BlobName> gradients;
    try {
      plan = layout.inModels(batch.serverPlanBucket(), batch.serverPlanObject());
      output = layout.inAggregates(batch.aggregatedGradientOutputBucket(), batch.aggregatedGradientOutputObject());
      boolean intermediates = batch.accumulateIntermediateUpdates();
      gradients = batch.gradients().stream()
          .map(name -> batch.gradientPrefix() + name)
          .map(key -> intermediates
              ? layout.inAggregates(batch.gradientBucket(), key)
              : layout.inUploads(batch.gradientBucket(), key))
          .toList();
    } catch (IllegalArgumentException elsewhere) {
      throw new HopelessException(AggregationNotification.ErrorReason.UNKNOWN_ERROR, elsewhere.getMessage());
    }
    if (blobs.exists(output)) {
      LOG.info("batch {} was aggregated before", batch.requestId());
      return;
    }
    ServerPlan parsed = plan(plan);
    Reduction.Result result;
    try {
      result = reduction.run(
          gradients.size(),
          inputs.of(gradients, batch.accumulateIntermediateUpdates() ? Aggregation::addIntermediate : Aggregation::addContribution),
          () -> aggregations.apply(parsed));
    } catch (IllegalArgumentException badPlan) {
      throw new HopelessException(AggregationNotification.ErrorReason.AGGREGATION_ERROR, badPlan.getMessage());
    }
    try (Aggregation total = result.total()) {
      for (Refusal refusal : result.refusals()) {
        LOG.warn("batch {}: {} does not count: {}", batch.requestId(), batch.gradients().get(refusal.index()), refusal.reason());
        meters.counter("contributions", "result", refusal.kind().name()).increment();
      }
      int counted = gradients.size() - result.refusals().size();
      if (counted == 0 || counted < result.refusals().size()) {
        throw new HopelessException(reason(result.refusals()), counted + " of " + gradients.size() + " contributions count");
      }
      byte[] sum = total.toIntermediate();
      blobs.write(output, settings.encryptOutput() ? payloads.seal(sum) : sum);
      meters.counter("contributions", "result", "COUNTED").increment(counted);
      LOG.info("batch {}: {} of {} contributions count", batch.requestId(), counted, gradients.size());
    }
  }

  private ServerPlan plan(BlobName name) throws HopelessException {
    try {
      return ServerPlan.parse(blobs.read(name));
    } catch (BlobNotFoundException missing) {
      throw new HopelessException(AggregationNotification.ErrorReason.UNKNOWN_ERROR, "plan " + name + " is not there");
    } catch (DamagedBlobException | PlanException malformed) {
      throw new HopelessException(AggregationNotification.ErrorReason.UNKNOWN_ERROR, "plan " + name + ": " + malformed.getMessage());
    }
  }

  /** The library's errors first: services.md 4 step 7. */
  private static AggregationNotification.ErrorReason reason(List<Refusal> refusals) {
    for (Refusal refusal : refusals) {
      if (refusal.kind() == Refusal.Kind.NOT_AGGREGATED) {
        return AggregationNotification.ErrorReason.AGGREGATION_ERROR;
      }
    }
    boolean keys = refusals.stream().anyMatch(refusal -> refusal.kind() == Refusal.Kind.NOT_DECRYPTED);
    return keys ? AggregationNotification.ErrorReason.DECRYPTION_ERROR : AggregationNotification.ErrorReason.UNKNOWN_ERROR;
  }
}

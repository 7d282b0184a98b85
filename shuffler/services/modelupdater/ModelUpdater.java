package com.google.ondevicepersonalization.federatedcompute.shuffler.modelupdater;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Aggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.EncryptedInputs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.LibraryAggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.PlanAggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Reduction;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Reduction.Refusal;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PhaseSession;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PhaseSessionV2;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes the next model of a task, of the sums of all batches of an iteration and the model that it began with; of an evaluation, only the
 * metrics. Whatever goes wrong is thrown, so that the message comes again, and in the end becomes a dead letter.
 *
 * <p>However often the message comes, also at the same time, one model is released: plans may draw noise, and two models of the same sums
 * say more about contributors than either. The first model that is written stays, and what devices download is made of that one. The
 * metrics are those of the sums, which are the same each time.
 */
public final class ModelUpdater {
  private static final Logger LOG = LoggerFactory.getLogger(ModelUpdater.class);
  private static final JsonMapper JSON = new JsonMapper();

  private final Blobs blobs;
  private final BlobLayout layout;
  private final EncryptedInputs inputs;
  private final Reduction reduction;
  private final Path folder;
  private final MeterRegistry meters;

  /** Where results go. The models are absent for an evaluation. */
  private record Outputs(Optional<BlobName> checkpoint, BlobName metrics, Optional<BlobName> clientCheckpoint) {}

  /** What comes out, beside what devices download of it. */
  private record Update(byte[] checkpoint, Map<String, Double> metrics) {}

  /**
   * Uses the ports.
   *
   * @param folder where TensorFlow's files may be during an update; nothing stays there
   */
  public ModelUpdater(Blobs blobs, BlobLayout layout, Payloads payloads, Reduction reduction, Path folder, MeterRegistry meters) {
    this.blobs = blobs;
    this.layout = layout;
    this.inputs = new EncryptedInputs(blobs, payloads);
    this.reduction = reduction;
    this.folder = folder;
    this.meters = meters;
  }

  /**
   * Makes one update. It may be asked for again: what is there stays as it is.
   *
   * @throws Exception if it cannot be made, now or ever
   */
  public void handle(Message message) throws Exception {
    ModelUpdaterMessage request = ModelUpdaterMessage.parse(message.data());
    Timer.Sample sample = Timer.start(meters);
    String result = "FAILED";
    try {
      update(request);
      result = "OK";
    } finally {
      sample.stop(meters.timer("update-model", "result", result));
    }
  }

  private void update(ModelUpdaterMessage request) throws Exception {
    Outputs outputs = new Outputs(
        output(request.newCheckpointOutputBucket(), request.newCheckpointOutputObject()),
        layout.inModels(request.metricsOutputBucket(), request.metricsOutputObject()),
        output(request.newClientCheckpointOutputBucket(), request.newClientCheckpointOutputObject()));
    List<BlobName> sums = request.intermediateGradients().stream()
        .map(name -> layout.inAggregates(request.intermediateGradientBucket(), request.intermediateGradientPrefix() + name))
        .toList();
    if (sums.isEmpty()) {
      throw new IllegalArgumentException("expected at least one sum, found none");
    }
    BlobName checkpointName = layout.inModels(request.checkpointBucket(), request.checkpointObject());
    // The last that is written, in this order: whoever sees it sees all.
    if (blobs.exists(outputs.clientCheckpoint().orElse(outputs.metrics()))) {
      LOG.info("{} is there already", outputs.metrics());
      return;
    }
    ServerPlan plan = ServerPlan.parse(blobs.read(layout.inModels(request.serverPlanBucket(), request.serverPlanObject())));
    byte[] checkpoint = blobs.read(checkpointName);
    Reduction.Result sum =
        reduction.run(sums.size(), inputs.of(sums, Aggregation::addIntermediate), () -> PlanAggregation.begin(plan, folder));
    try (Aggregation total = sum.total()) {
      if (!sum.refusals().isEmpty()) {
        Refusal first = sum.refusals().get(0);
        throw new IllegalStateException(
            sum.refusals().size() + " of " + sums.size() + " sums are refused, first " + sums.get(first.index()) + ": " + first.reason());
      }
      Update update = plan.isV2() ? updateV2(plan, checkpoint, (LibraryAggregation) total) : updateV1(plan, checkpoint, total);
      byte[] model = outputs.checkpoint().isPresent() ? keep(outputs.checkpoint().get(), update.checkpoint()) : update.checkpoint();
      blobs.write(outputs.metrics(), json(update.metrics()));
      if (outputs.clientCheckpoint().isPresent()) {
        blobs.write(outputs.clientCheckpoint().get(), plan.clientCheckpoint(model, folder));
      }
    }
    LOG.info("wrote {} of {} sums", outputs.metrics(), sums.size());
  }

  /** Writes a model if there is none; the one that is there from then on. */
  private byte[] keep(BlobName name, byte[] model) throws BlobNotFoundException {
    if (blobs.writeIfAbsent(name, model)) {
      return model;
    }
    LOG.info("{} is there already, and stays", name);
    return blobs.read(name);
  }

  private Update updateV1(ServerPlan plan, byte[] checkpoint, Aggregation total) {
    try (PhaseSession session = new PhaseSession(plan, Optional.of(checkpoint), folder)) {
      session.accumulateIntermediateUpdate(total.toIntermediate());
      session.applyAggregatedUpdates();
      return new Update(session.toCheckpoint(), session.getMetrics());
    }
  }

  private Update updateV2(ServerPlan plan, byte[] checkpoint, LibraryAggregation total) {
    PhaseSessionV2 session = new PhaseSessionV2(plan, folder);
    byte[] intermediateState = session.getClientCheckpoint(checkpoint).intermediateState();
    PhaseSessionV2.Result result = session.getResult(total.toAggregate(), intermediateState);
    return new Update(result.serverState(), result.metrics());
  }

  private Optional<BlobName> output(Optional<String> bucket, Optional<String> key) {
    if (bucket.isPresent() != key.isPresent()) {
      throw new IllegalArgumentException("expected bucket and key of an output, or neither");
    }
    return bucket.map(name -> layout.inModels(name, key.orElseThrow()));
  }

  /** By name, so that the same metrics are the same bytes. */
  private static byte[] json(Map<String, Double> metrics) throws JsonProcessingException {
    return JSON.writeValueAsString(new TreeMap<>(metrics)).getBytes(StandardCharsets.UTF_8);
  }
}

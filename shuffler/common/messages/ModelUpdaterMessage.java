package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import java.util.List;
import java.util.Optional;

/**
 * Asks the model updater for the next model of a task, or for the metrics of an evaluation.
 *
 * @param serverPlanBucket where the plan is
 * @param serverPlanObject the plan's key
 * @param intermediateGradientBucket where the sums of batches are
 * @param intermediateGradientPrefix what their keys begin with, with a slash at its end
 * @param intermediateGradients the rest of their keys, {@code <batch>/gradient}
 * @param checkpointBucket where the model is that the iteration began with
 * @param checkpointObject its key
 * @param newCheckpointOutputBucket where the new model goes; none for an evaluation
 * @param newCheckpointOutputObject its key; none for an evaluation
 * @param newClientCheckpointOutputBucket where the new model for devices goes; none for an evaluation
 * @param newClientCheckpointOutputObject its key; none for an evaluation
 * @param metricsOutputBucket where the metrics go
 * @param metricsOutputObject their key
 * @param requestId the number of the iteration
 */
public record ModelUpdaterMessage(
    String serverPlanBucket,
    String serverPlanObject,
    String intermediateGradientBucket,
    String intermediateGradientPrefix,
    List<String> intermediateGradients,
    String checkpointBucket,
    String checkpointObject,
    Optional<String> newCheckpointOutputBucket,
    Optional<String> newCheckpointOutputObject,
    Optional<String> newClientCheckpointOutputBucket,
    Optional<String> newClientCheckpointOutputObject,
    String metricsOutputBucket,
    String metricsOutputObject,
    String requestId) {

  /**
   * Reads JSON.
   *
   * @throws IllegalArgumentException if it is malformed, or lacks a field
   */
  public static ModelUpdaterMessage parse(String json) {
    return MessageJson.parse(json, ModelUpdaterMessage.class);
  }

  public Message toMessage() {
    return MessageJson.message(this);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import java.util.List;

/**
 * Asks the aggregator for the sum of a batch.
 *
 * @param accumulateIntermediateUpdates whether the inputs are sums themselves; the collector says false
 * @param serverPlanBucket where the plan is
 * @param serverPlanObject the plan's key
 * @param gradientBucket where the inputs are
 * @param gradientPrefix what their keys begin with, with a slash at its end
 * @param gradients the rest of their keys, {@code <assignment>/gradient}
 * @param aggregatedGradientOutputBucket where the sum goes
 * @param aggregatedGradientOutputObject the sum's key
 * @param requestId {@code <population>/<task>/<iteration>/<attempt>_<batch>}
 * @param notificationEndpoint where to tell of failures: {@code https://pubsub.googleapis.com/v1/projects/<project>/topics/<topic>:publish}
 */
public record AggregatorMessage(
    boolean accumulateIntermediateUpdates,
    String serverPlanBucket,
    String serverPlanObject,
    String gradientBucket,
    String gradientPrefix,
    List<String> gradients,
    String aggregatedGradientOutputBucket,
    String aggregatedGradientOutputObject,
    String requestId,
    String notificationEndpoint) {

  /**
   * Reads JSON.
   *
   * @throws IllegalArgumentException if it is malformed, or lacks a field
   */
  public static AggregatorMessage parse(String json) {
    return MessageJson.parse(json, AggregatorMessage.class);
  }

  public Message toMessage() {
    return MessageJson.message(this);
  }
}

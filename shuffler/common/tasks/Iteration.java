package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;

/**
 * An iteration as it is stored.
 *
 * @param key its name
 * @param status its state
 * @param aggregationLevel 0 while collecting, 1 while aggregating, 2 from applying on
 * @param settings what it was begun with
 */
public record Iteration(IterationKey key, IterationStatus status, long aggregationLevel, Settings settings) {
  /**
   * What an iteration is begun with.
   *
   * @param baseIteration the iteration whose result it begins from
   * @param baseOnResult the result that devices download
   * @param result where its own result goes
   * @param reportGoal contributions that it needs
   * @param maxAggregationSize assignments that are active at a time, at most
   * @param clientVersions of devices that may take part
   * @param info of its task, and what an evaluation evaluates
   */
  public record Settings(
      long baseIteration,
      long baseOnResult,
      long result,
      long reportGoal,
      long maxAggregationSize,
      ClientVersions clientVersions,
      IterationInfo info) {}
}

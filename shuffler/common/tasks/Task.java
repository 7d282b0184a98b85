package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import java.time.Instant;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A task as it is stored.
 *
 * @param key its name
 * @param status its state
 * @param settings what it was created with
 * @param createdTime when
 */
public record Task(TaskKey key, TaskStatus status, Settings settings, Instant createdTime) {
  /**
   * What a task is created with.
   *
   * @param totalIteration iterations until it is completed; 0 for a task that has none
   * @param minAggregationSize contributions that an iteration needs
   * @param maxAggregationSize assignments of an iteration that are active at a time, at most
   * @param startNoEarlierThan before this time it is not opened
   * @param doNotCreateIterationAfter after this time no iteration is begun
   * @param startTime before this time it is not opened
   * @param stopTime from this time on no iteration is begun
   * @param maxParallel stored, and not used by any service
   * @param correlationId of the creator's choice
   * @param clientVersions of devices that may take part
   * @param info its kind, and what the kind asks for
   */
  public record Settings(
      long totalIteration,
      long minAggregationSize,
      long maxAggregationSize,
      Optional<Instant> startNoEarlierThan,
      Optional<Instant> doNotCreateIterationAfter,
      Optional<Instant> startTime,
      Optional<Instant> stopTime,
      long maxParallel,
      String correlationId,
      ClientVersions clientVersions,
      TaskInfo info) {

    /** Whether the task may be opened by now. */
    public boolean hasStarted(Instant now) {
      return Stream.of(startNoEarlierThan, startTime).flatMap(Optional::stream).noneMatch(now::isBefore);
    }

    /** Whether it is too late for another iteration: the task is completed when the one that goes on has ended. */
    public boolean isOver(Instant now) {
      return doNotCreateIterationAfter.filter(now::isAfter).isPresent() || stopTime.filter(time -> !now.isBefore(time)).isPresent();
    }

    /** Whether it evaluates what another task trained; otherwise it trains. */
    public boolean evaluates() {
      return info.getInfoCase() == TaskInfo.InfoCase.EVALUATION_INFO;
    }
  }
}

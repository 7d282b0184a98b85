package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.TreeMap;

/** What an evaluation may evaluate: iterations of its training task that were completed lately, a selection of them. */
public final class Candidates {
  private static final Duration LATELY = Duration.ofHours(24);

  private final Iterations iterations;
  private final Clock clock;

  public Candidates(Iterations iterations, Clock clock) {
    this.iterations = iterations;
    this.clock = clock;
  }

  /** The training task of an evaluation task; of its own population if it names none. */
  static TaskKey source(Task evaluation) {
    EvaluationInfo info = evaluation.settings().info().getEvaluationInfo();
    String population = info.getTrainingPopulationName();
    return new TaskKey(population.isEmpty() ? evaluation.key().population() : population, info.getTrainingTaskId());
  }

  /** The numbers of the iterations that an evaluation task may evaluate by now: the first one of each bucket that its selector makes. */
  List<Long> of(Task evaluation) {
    CheckPointSelector selector = evaluation.settings().info().getEvaluationInfo().getCheckPointSelector();
    TreeMap<Long, Long> first = new TreeMap<>();
    iterations.completedSince(source(evaluation), clock.instant().minus(LATELY))
        .forEach((iteration, time) -> first.putIfAbsent(bucket(selector, iteration, time), iteration));
    return List.copyOf(first.values());
  }

  private static long bucket(CheckPointSelector selector, long iteration, Instant time) {
    return switch (selector.getSelectorTypeCase()) {
      case ITERATION_SELECTOR -> (iteration - 1) / Math.max(1, selector.getIterationSelector().getSize());
      case DURATION_SELECTOR ->
          time.getEpochSecond() / Duration.ofHours(Math.max(1, selector.getDurationSelector().getHours())).toSeconds();
      case SELECTORTYPE_NOT_SET -> iteration;
    };
  }
}

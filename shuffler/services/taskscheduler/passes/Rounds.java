package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Leads open tasks from iteration to iteration, and to their end. */
public final class Rounds {
  private static final Logger LOG = LoggerFactory.getLogger(Rounds.class);
  private static final Duration LONG = Duration.ofMinutes(5);
  private static final Duration BETWEEN_WARNINGS = Duration.ofMinutes(1);

  // The first result that an iteration leaves is 1; 0 is what the task began with.
  private static final long INITIAL = 0;

  private final Iterations iterations;
  private final Artifacts artifacts;
  private final Candidates candidates;
  private final Transitions transitions;
  private final RandomGenerator random;
  private final Clock clock;

  /** When it was last warned of an iteration that takes long. */
  private final Map<IterationKey, Instant> warned = new ConcurrentHashMap<>();

  public Rounds(
      Iterations iterations, Artifacts artifacts, Candidates candidates, Transitions transitions, RandomGenerator random, Clock clock) {
    this.iterations = iterations;
    this.artifacts = artifacts;
    this.candidates = candidates;
    this.transitions = transitions;
    this.random = random;
    this.clock = clock;
  }

  /** What is to be done for a task by now; nothing if it has to wait. */
  Optional<Runnable> step(Task task) {
    Optional<Iteration> newest = iterations.newest(task.key());
    if (newest.isEmpty()) {
      return first(task);
    }
    Iteration iteration = newest.get();
    return switch (iteration.status()) {
      case COLLECTING, AGGREGATING -> Optional.empty();
      case APPLYING -> complete(task, iteration);
      case COMPLETED, POST_PROCESSED -> isLast(task, iteration)
          ? Optional.of(() -> transitions.end(task.key(), newest, TaskStatus.COMPLETED))
          : begin(task, newest);
      case CANCELED, AGGREGATING_FAILED, APPLYING_FAILED ->
          Optional.of(() -> transitions.end(task.key(), newest, TaskStatus.FAILED));
    };
  }

  private Optional<Runnable> first(Task task) {
    if (task.settings().isOver(clock.instant())) {
      return Optional.of(() -> transitions.end(task.key(), Optional.empty(), TaskStatus.COMPLETED));
    }
    if (task.settings().totalIteration() == 0 || !artifacts.areThere(task)) {
      return Optional.empty();
    }
    return begin(task, Optional.empty());
  }

  private Optional<Runnable> complete(Task task, Iteration iteration) {
    if (!artifacts.resultIsThere(task, iteration)) {
      warnOfLong(iteration);
      return Optional.empty();
    }
    return Optional.of(() -> {
      if (isLast(task, iteration)) {
        transitions.complete(iteration, Optional.empty());
      } else if (task.settings().evaluates()) {
        // There may be nothing to evaluate next.
        transitions.move(iteration, IterationStatus.COMPLETED);
      } else {
        transitions.complete(iteration, Optional.of(training(task, iteration.key().iteration())));
      }
      warned.remove(iteration.key());
    });
  }

  private boolean isLast(Task task, Iteration iteration) {
    return iteration.key().iteration() >= task.settings().totalIteration() || task.settings().isOver(clock.instant());
  }

  private Optional<Runnable> begin(Task task, Optional<Iteration> previous) {
    long before = previous.map(iteration -> iteration.key().iteration()).orElse(INITIAL);
    if (!task.settings().evaluates()) {
      return Optional.of(() -> begin(task, previous, training(task, before)));
    }
    List<Long> found = candidates.of(task);
    if (found.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(() -> {
      long chosen = found.get(random.nextInt(found.size()));
      artifacts.makeClientCheckpoint(task.key(), before + 1, Candidates.source(task), chosen);
      begin(task, previous, evaluation(task, before + 1, chosen));
    });
  }

  private void begin(Task task, Optional<Iteration> previous, Iteration.Settings settings) {
    if (previous.isPresent()) {
      transitions.beginAfter(previous.get(), settings);
    } else {
      artifacts.compress(task);
      transitions.beginFirst(new IterationKey(task.key(), INITIAL + 1, 0), settings);
    }
  }

  /** Of the iteration after one, with whose result it begins. */
  private static Iteration.Settings training(Task task, long before) {
    return settings(task, before, before + 1, IterationInfo.newBuilder().setTaskInfo(task.settings().info()).build());
  }

  private static Iteration.Settings evaluation(Task task, long number, long evaluated) {
    return settings(task, number, number, IterationInfo.newBuilder()
        .setTaskInfo(task.settings().info())
        .setEvaluationTrainingIterationId(evaluated)
        .build());
  }

  private static Iteration.Settings settings(Task task, long base, long result, IterationInfo info) {
    Task.Settings settings = task.settings();
    return new Iteration.Settings(
        base, base, result, settings.minAggregationSize(), settings.maxAggregationSize(), settings.clientVersions(), info);
  }

  private void warnOfLong(Iteration iteration) {
    Instant now = clock.instant();
    Instant last = warned.get(iteration.key());
    if (last != null && now.isBefore(last.plus(BETWEEN_WARNINGS))) {
      return;
    }
    Duration time = Duration.between(iterations.since(iteration.key()).orElse(now), now);
    if (time.compareTo(LONG) > 0) {
      warned.put(iteration.key(), now);
      LOG.warn("iteration {}: the model updater has not finished after {} minutes", iteration.key(), time.toMinutes());
    }
  }
}

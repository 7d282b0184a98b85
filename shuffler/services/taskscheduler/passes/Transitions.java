package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Clock;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The steps that the scheduler takes in the tables. Each is one transaction that does nothing if another scheduler took it first, is told
 * in one line of the log, and is counted.
 */
public final class Transitions {
  private static final Logger LOG = LoggerFactory.getLogger(Transitions.class);

  private final Tasks tasks;
  private final Iterations iterations;
  private final MeterRegistry meters;
  private final Clock clock;

  public Transitions(Tasks tasks, Iterations iterations, MeterRegistry meters, Clock clock) {
    this.tasks = tasks;
    this.iterations = iterations;
    this.meters = meters;
    this.clock = clock;
  }

  /** Moves a task that has no iteration yet and is not open. */
  void leaveCreated(TaskKey key, TaskStatus to) {
    if (tasks.move(key, TaskStatus.CREATED, to, clock.instant())) {
      told(key, TaskStatus.CREATED, to);
    }
  }

  /** Moves an open task to its last state. */
  void end(TaskKey key, Optional<Iteration> newest, TaskStatus to) {
    if (iterations.end(key, newest, to, clock.instant())) {
      told(key, TaskStatus.OPEN, to);
    }
  }

  void beginFirst(IterationKey key, Iteration.Settings settings) {
    if (iterations.begin(key, settings, clock.instant())) {
      begun(key, settings);
    }
  }

  void beginAfter(Iteration ended, Iteration.Settings settings) {
    if (iterations.follow(ended, settings, clock.instant())) {
      begun(next(ended.key()), settings);
    }
  }

  /** Completes an iteration, and begins the next one; if there is none, the task is completed. */
  void complete(Iteration iteration, Optional<Iteration.Settings> next) {
    if (iterations.complete(iteration, next, clock.instant())) {
      told(iteration, IterationStatus.COMPLETED);
      next.ifPresentOrElse(
          settings -> begun(next(iteration.key()), settings),
          () -> told(iteration.key().task(), TaskStatus.OPEN, TaskStatus.COMPLETED));
    }
  }

  void move(Iteration from, IterationStatus to) {
    if (iterations.move(from, to, from.aggregationLevel(), clock.instant())) {
      told(from, to);
    }
  }

  static IterationKey next(IterationKey key) {
    return new IterationKey(key.task(), key.iteration() + 1, key.attempt());
  }

  private void told(TaskKey key, TaskStatus from, TaskStatus to) {
    LOG.info("task {}: {} -> {}", key, from, to);
    meters.counter("scheduler-tasks", "population", key.population(), "status", to.name()).increment();
  }

  private void told(Iteration from, IterationStatus to) {
    LOG.info("iteration {}: {} -> {}", from.key(), from.status(), to);
    count(from.key(), to);
  }

  private void begun(IterationKey key, Iteration.Settings settings) {
    if (settings.info().getTaskInfo().hasEvaluationInfo()) {
      LOG.info("iteration {}: begun, evaluates iteration {}", key, settings.info().getEvaluationTrainingIterationId());
    } else {
      LOG.info("iteration {}: begun", key);
    }
    count(key, IterationStatus.COLLECTING);
  }

  private void count(IterationKey key, IterationStatus to) {
    meters.counter("scheduler-iterations", "population", key.population(), "status", to.name()).increment();
  }
}

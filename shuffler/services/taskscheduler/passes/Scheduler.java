package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.Guard;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Clock;
import java.util.Optional;
import java.util.function.Function;
import org.slf4j.LoggerFactory;

/**
 * Walks over the tasks that are active and the iterations that were completed. Any number of schedulers may run: each task is locked by one
 * at a time. The lock only saves work; that nothing is done twice is due to the tables, where a row moves from where it was or not at all.
 */
public final class Scheduler {
  // A population has two active tasks at most. This is a bound of memory, which no deployment comes near.
  private static final int MOST = 100_000;

  private final Tasks tasks;
  private final Iterations iterations;
  private final Opening opening;
  private final Rounds rounds;
  private final PostProcessing postProcessing;
  private final Locks locks;
  private final MeterRegistry meters;
  private final Guard guard;

  public Scheduler(
      Tasks tasks,
      Iterations iterations,
      Opening opening,
      Rounds rounds,
      PostProcessing postProcessing,
      Locks locks,
      MeterRegistry meters,
      Clock clock) {
    this.tasks = tasks;
    this.iterations = iterations;
    this.opening = opening;
    this.rounds = rounds;
    this.postProcessing = postProcessing;
    this.locks = locks;
    this.meters = meters;
    this.guard = new Guard(LoggerFactory.getLogger(Scheduler.class), meters.counter("scheduler-failures"), clock);
  }

  /** Opens tasks, begins and completes iterations, and ends tasks, wherever it is time. */
  public void pass() {
    guard.run("tasks", () -> {
      each("opening", TaskStatus.CREATED, opening::step);
      each("rounds", TaskStatus.OPEN, rounds::step);
    });
  }

  /** Stores the metrics of iterations that were completed. */
  public void postProcess() {
    guard.run("iterations", () -> {
      for (Iteration iteration : iterations.withStatus(IterationStatus.COMPLETED, MOST)) {
        guard.run("metrics " + iteration.key(), () -> locks.ifFree("completed_iteration_" + iteration.key(), () -> iterations
            .find(iteration.key())
            .filter(found -> found.status() == IterationStatus.COMPLETED)
            .ifPresent(postProcessing::run)));
      }
    });
  }

  private void each(String pass, TaskStatus status, Function<Task, Optional<Runnable>> steps) {
    for (Task task : tasks.withStatus(status, MOST)) {
      // Most tasks have nothing to do most of the time: that is found out without a lock.
      guard.run(pass + " " + task.key(), () -> steps.apply(task).ifPresent(due -> locks.ifFree("taskscheduler_" + task.key(), () -> {
        Timer.Sample sample = Timer.start(meters);
        tasks.find(task.key()).filter(found -> found.status() == status).flatMap(steps).ifPresent(Runnable::run);
        sample.stop(meters.timer("scheduler-step", "population", task.key().population(), "pass", pass));
      })));
    }
  }
}

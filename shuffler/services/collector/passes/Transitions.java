package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.BatchStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches.Contributions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Clock;
import java.util.List;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The steps that the collector takes in the tables. Each is one transaction that does nothing if another collector took it first, is told in
 * one line of the log, and is counted.
 */
public final class Transitions {
  private static final Logger LOG = LoggerFactory.getLogger(Transitions.class);

  private final Iterations iterations;
  private final Assignments assignments;
  private final Batches batches;
  private final CollectorSettings settings;
  private final MeterRegistry meters;
  private final Clock clock;

  public Transitions(
      Iterations iterations,
      Assignments assignments,
      Batches batches,
      CollectorSettings settings,
      MeterRegistry meters,
      Clock clock) {
    this.iterations = iterations;
    this.assignments = assignments;
    this.batches = batches;
    this.settings = settings;
    this.meters = meters;
    this.clock = clock;
  }

  /** Moves assignments that are in no batch. */
  void move(IterationKey key, AssignmentStatus from, AssignmentStatus to, List<String> sessions) {
    if (sessions.isEmpty()) {
      return;
    }
    int moved = assignments.move(key, from, to, sessions, clock.instant());
    LOG.info("iteration {}: {} assignments {} -> {}", key, moved, from, to);
    count("collector-assignments", key, to, moved);
  }

  /** Makes a batch of assignments. */
  void batch(IterationKey key, AssignmentStatus from, List<String> sessions) {
    String batch = UUID.randomUUID().toString();
    int size = batches.create(key, batch, from, sessions, clock.instant());
    if (size > 0) {
      LOG.info("iteration {}: batch {} of {} assignments {} -> {}", key, batch, size, from, AssignmentStatus.UPLOAD_COMPLETED);
      count("collector-batches", key, BatchStatus.FULL, 1);
      if (from != AssignmentStatus.UPLOAD_COMPLETED) {
        count("collector-assignments", key, AssignmentStatus.UPLOAD_COMPLETED, size);
      }
    }
  }

  void move(IterationKey key, String batch, BatchStatus from, BatchStatus to) {
    if (batches.move(key, batch, from, to, clock.instant())) {
      LOG.info("iteration {}: batch {} {} -> {}", key, batch, from, to);
      count("collector-batches", key, to, 1);
    }
  }

  /** Fails a batch that was published, and its assignments. */
  void fail(IterationKey key, String batch, String reason) {
    if (batches.fail(key, batch, clock.instant())) {
      LOG.warn("iteration {}: batch {} {} -> {}: {}", key, batch, BatchStatus.PUBLISH_COMPLETED, BatchStatus.FAILED, reason);
      count("collector-batches", key, BatchStatus.FAILED, 1);
    }
  }

  void move(Iteration from, IterationStatus to, long level, Contributions contributions) {
    if (iterations.move(from, to, level, clock.instant())) {
      LOG.info("iteration {}: {} -> {}: {} of {} contributions published, {} aggregated, {} failed", from.key(), from.status(), to,
          contributions.published(), from.settings().reportGoal(), contributions.aggregated(), contributions.failed());
      count("collector-iterations", from.key(), to, 1);
    }
  }

  /**
   * Moves an iteration that lost contributions: it fails if it lost too many, and it collects again if it has too few left. Does nothing
   * otherwise.
   *
   * @param contributions of the iteration
   * @return true if it was to be moved
   */
  boolean setBack(Iteration iteration, Contributions contributions) {
    if (settings.failureThreshold().filter(most -> contributions.failed() > most * settings.batchSize()).isPresent()) {
      move(iteration, IterationStatus.AGGREGATING_FAILED, iteration.aggregationLevel(), contributions);
      return true;
    }
    if (iteration.status() == IterationStatus.AGGREGATING && contributions.published() < iteration.settings().reportGoal()) {
      move(iteration, IterationStatus.COLLECTING, 0, contributions);
      return true;
    }
    return false;
  }

  private void count(String name, IterationKey key, Enum<?> status, int amount) {
    meters.counter(name, "population", key.population(), "status", status.name()).increment(amount);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.InvalidRequestException;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.random.RandomGenerator;

/** Finds something to do for a device that checks in. */
public final class CheckIn {
  /** Why there is nothing to do. If there are several reasons, the one that comes first counts. */
  enum Rejection {
    ITERATION_FULL,
    ITERATION_NOT_OPEN,
    CLIENT_VERSION_MISMATCH,
    ITERATION_NOT_ACTIVE
  }

  /** What a device gets: one of the two. */
  sealed interface Result {
    /** Something to do. */
    record Assigned(Iteration iteration, AssignmentKey key) implements Result {}

    /** Nothing. */
    record Rejected(Rejection reason) implements Result {}
  }

  private final Iterations iterations;
  private final Assignments assignments;
  private final Clock clock;
  private final RandomGenerator random;

  public CheckIn(Iterations iterations, Assignments assignments, Clock clock, RandomGenerator random) {
    this.iterations = iterations;
    this.assignments = assignments;
    this.clock = clock;
    this.random = random;
  }

  /**
   * Assigns the device to one of the population's collecting iterations that its version may take part in, chosen by the traffic weights of
   * their tasks.
   *
   * @param version of the device's software, a decimal number
   * @param correlationId of the request
   * @throws InvalidRequestException if the version is no number, and an iteration asks for it
   */
  Result checkIn(String population, String version, String correlationId) {
    List<Rejection> reasons = new ArrayList<>(List.of(Rejection.ITERATION_NOT_ACTIVE));
    List<Iteration> candidates = new ArrayList<>();
    for (Iteration iteration : iterations.active(population)) {
      if (iteration.status() != IterationStatus.COLLECTING) {
        reasons.add(Rejection.ITERATION_NOT_OPEN);
      } else if (!iteration.settings().clientVersions().include(number(version))) {
        reasons.add(Rejection.CLIENT_VERSION_MISMATCH);
      } else {
        candidates.add(iteration);
      }
    }
    while (!candidates.isEmpty()) {
      Iteration chosen = candidates.remove(choose(candidates));
      AssignmentKey key = new AssignmentKey(chosen.key(), UUID.randomUUID().toString());
      switch (assignments.assign(key, correlationId, clock.instant())) {
        case ASSIGNED -> {
          return new Result.Assigned(chosen, key);
        }
        case FULL -> reasons.add(Rejection.ITERATION_FULL);
        case NOT_COLLECTING -> reasons.add(Rejection.ITERATION_NOT_OPEN);
      }
    }
    return new Result.Rejected(reasons.stream().min(Comparator.naturalOrder()).orElseThrow());
  }

  /** The position of a candidate, as likely as its weight says; if no weight says anything, all alike. */
  private int choose(List<Iteration> candidates) {
    double total = candidates.stream().mapToDouble(CheckIn::weight).sum();
    if (total == 0) {
      return random.nextInt(candidates.size());
    }
    double point = random.nextDouble() * total;
    for (int i = 0; i < candidates.size(); i++) {
      point -= weight(candidates.get(i));
      if (point < 0) {
        return i;
      }
    }
    // Rounding: the last one that has a weight.
    int last = candidates.size() - 1;
    while (weight(candidates.get(last)) == 0) {
      last--;
    }
    return last;
  }

  private static double weight(Iteration iteration) {
    return iteration.settings().info().getTaskInfo().getTrafficWeight();
  }

  private static long number(String version) {
    try {
      return ClientVersions.parse(version);
    } catch (NumberFormatException malformed) {
      throw new InvalidRequestException("client_version.version_code: " + malformed.getMessage());
    }
  }
}

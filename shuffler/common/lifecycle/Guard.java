package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import io.micrometer.core.instrument.Counter;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;

/**
 * Does what is done several times a second, and must not stop what comes after it. What fails is told, and rests, after each failure in a
 * row for twice as long.
 */
public final class Guard {
  private static final Duration FIRST = Duration.ofSeconds(1);
  private static final int MOST_DOUBLINGS = 6;

  private record Rest(int failures, Instant until) {}

  private static final Rest NONE = new Rest(0, Instant.MIN);

  private final Logger log;
  private final Counter failures;
  private final Clock clock;
  private final Map<String, Rest> resting = new ConcurrentHashMap<>();

  public Guard(Logger log, Counter failures, Clock clock) {
    this.log = log;
    this.failures = failures;
    this.clock = clock;
  }

  /**
   * Does something, unless it rests.
   *
   * @param what its name; no two threads do what has the same name
   */
  public void run(String what, Runnable work) {
    Rest rest = resting.getOrDefault(what, NONE);
    if (clock.instant().isBefore(rest.until())) {
      return;
    }
    try {
      work.run();
      resting.remove(what);
    } catch (RuntimeException problem) {
      Duration length = FIRST.multipliedBy(1L << Math.min(MOST_DOUBLINGS, rest.failures()));
      resting.put(what, new Rest(rest.failures() + 1, clock.instant().plus(length)));
      failures.increment();
      String why = String.valueOf(problem.getMessage()).replaceAll("\\s+", " ");
      log.warn("{}: {}; again in {} s", what, why, length.toSeconds());
    }
  }
}

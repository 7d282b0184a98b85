package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Keeps what fails from being tried, and told, several times a second: after each failure in a row it rests for twice as long. */
public final class Backoff {
  private static final Duration FIRST = Duration.ofSeconds(1);
  private static final int MOST_DOUBLINGS = 6;

  private record Rest(int failures, Instant until) {}

  private final Clock clock;
  private final Map<String, Rest> resting = new ConcurrentHashMap<>();

  public Backoff(Clock clock) {
    this.clock = clock;
  }

  /** Whether something is not to be tried by now. */
  public boolean rests(String what) {
    Rest rest = resting.get(what);
    return rest != null && clock.instant().isBefore(rest.until());
  }

  /** Forgets the failures of something. */
  public void succeeded(String what) {
    resting.remove(what);
  }

  /** How long something that has failed rests from now on. */
  public Duration failed(String what) {
    Duration length = FIRST.multipliedBy(1L << Math.min(MOST_DOUBLINGS, resting.getOrDefault(what, new Rest(0, Instant.MIN)).failures()));
    resting.compute(what, (key, rest) -> new Rest(rest == null ? 1 : rest.failures() + 1, clock.instant().plus(length)));
    return length;
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.Guard;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Clock;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.slf4j.LoggerFactory;

/**
 * Walks over the iterations that go on. Any number of collectors may run: each iteration is locked by one at a time. The lock only saves
 * work; that nothing is done twice is due to the tables, where a row moves from where it was or not at all.
 */
public final class Collector {
  // A population has two tasks at most, each with one iteration that goes on. This is a bound of memory, which no deployment comes near.
  private static final int MOST_ITERATIONS = 100_000;

  private final Iterations iterations;
  private final Collecting collecting;
  private final Aggregating aggregating;
  private final Timeouts timeouts;
  private final Locks locks;
  private final MeterRegistry meters;
  private final Guard guard;

  public Collector(
      Iterations iterations,
      Collecting collecting,
      Aggregating aggregating,
      Timeouts timeouts,
      Locks locks,
      MeterRegistry meters,
      Clock clock) {
    this.iterations = iterations;
    this.collecting = collecting;
    this.aggregating = aggregating;
    this.timeouts = timeouts;
    this.locks = locks;
    this.meters = meters;
    this.guard = new Guard(LoggerFactory.getLogger(Collector.class), meters.counter("collector-failures"), clock);
  }

  /** Makes batches and hands sums on, wherever there is something to do. */
  public void pass() {
    guard.run("iterations", () -> {
      List<Iteration> collected = iterations.withStatus(IterationStatus.COLLECTING, MOST_ITERATIONS);
      collecting.retain(keys(collected));
      each("collecting", collected, Collector::lock, collecting::run);
      List<Iteration> aggregated = iterations.withStatus(IterationStatus.AGGREGATING, MOST_ITERATIONS);
      aggregating.retain(keys(aggregated));
      each("aggregating", aggregated, Collector::lock, aggregating::run);
    });
  }

  /** Gives up on devices that are late. */
  public void timeouts() {
    guard.run("timeouts", () -> each(
        "timeouts",
        iterations.withStatus(IterationStatus.COLLECTING, MOST_ITERATIONS),
        key -> "timeout_collector_" + key,
        timeouts::run));
  }

  /** The name of the lock under which batches of an iteration are made, published and failed. */
  static String lock(IterationKey key) {
    return "collector_" + key;
  }

  private void each(String pass, List<Iteration> listed, Function<IterationKey, String> lockName, Consumer<Iteration> step) {
    for (Iteration iteration : listed) {
      guard.run(pass + " " + iteration.key(), () -> locks.ifFree(lockName.apply(iteration.key()), () -> {
        Timer.Sample sample = Timer.start(meters);
        // It may have moved on between the list and the lock.
        iterations.find(iteration.key()).filter(found -> found.status() == iteration.status()).ifPresent(step);
        sample.stop(meters.timer("collector-pass", "population", iteration.key().population(), "pass", pass));
      }));
    }
  }

  private static Set<IterationKey> keys(List<Iteration> listed) {
    return listed.stream().map(Iteration::key).collect(Collectors.toSet());
  }
}

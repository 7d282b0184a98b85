package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

class GuardTest {
  private final TestClock clock = new TestClock();
  private final Counter failures = new SimpleMeterRegistry().counter("failures");
  private final Guard guard = new Guard(LoggerFactory.getLogger(GuardTest.class), failures, clock);
  private int tried;
  private boolean fails = true;

  private void work() {
    tried++;
    if (fails) {
      throw new IllegalStateException("a problem\nof two lines");
    }
  }

  private int tries(Duration time) {
    int before = tried;
    for (Duration passed = Duration.ZERO; passed.compareTo(time) < 0; passed = passed.plusMillis(500)) {
      guard.run("work", this::work);
      clock.advance(Duration.ofMillis(500));
    }
    return tried - before;
  }

  @Test
  void whatFailsRestsForTwiceAsLongEachTimeUpToAMinute() {
    // At 0, 1, 3, 7, 15, 31 and 63 s, and then every 64 s.
    assertThat(tries(Duration.ofSeconds(100))).isEqualTo(7);
    assertThat(tries(Duration.ofSeconds(640))).isEqualTo(10);
    assertThat(failures.count()).isEqualTo(17);
    guard.run("other", this::work);
    assertThat(failures.count()).isEqualTo(18);
  }

  @Test
  void whatSucceedsDoesNotRest() {
    tries(Duration.ofSeconds(10));
    fails = false;
    clock.advance(Duration.ofMinutes(2));
    assertThat(tries(Duration.ofSeconds(10))).isEqualTo(20);
    fails = true;
    // From the beginning.
    assertThat(tries(Duration.ofSeconds(4))).isEqualTo(3);
  }
}

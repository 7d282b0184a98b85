package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class BoundedCheckTest {
  private static final Duration LONG = Duration.ofMinutes(1);

  @Test
  void answersAreKeptForAWhile() throws Exception {
    AtomicInteger asked = new AtomicInteger();
    try (BoundedCheck check = new BoundedCheck("database", asked::incrementAndGet, LONG)) {
      for (int i = 0; i < 1000; i++) {
        assertThat(check.check()).isEqualTo("database: answers.");
      }
    }
    // One a second, however slow this machine is.
    assertThat(asked.get()).isBetween(1, 500);
  }

  @Test
  void whatIsWrongIsNotTold() {
    BoundedCheck.Probe fails = () -> {
      throw new IOException("user admin, password hush");
    };
    try (BoundedCheck check = new BoundedCheck("database", fails, LONG)) {
      assertThatThrownBy(check::check)
          .isInstanceOf(NotReadyException.class)
          .hasMessage("database: it does not answer as it should (see the log of the service)");
    }
  }

  @Test
  void silenceIsNotWaitedForAndNotAskedTwice() {
    CountDownLatch never = new CountDownLatch(1);
    AtomicInteger asked = new AtomicInteger();
    BoundedCheck.Probe silent = () -> {
      asked.incrementAndGet();
      never.await();
    };
    try (BoundedCheck check = new BoundedCheck("queue", silent, Duration.ofMillis(1))) {
      for (int i = 0; i < 5; i++) {
        assertThatThrownBy(check::check).isInstanceOf(NotReadyException.class).hasMessage("queue: no answer within 1 ms");
      }
      assertThat(asked.get()).isLessThanOrEqualTo(1);
    }
  }
}

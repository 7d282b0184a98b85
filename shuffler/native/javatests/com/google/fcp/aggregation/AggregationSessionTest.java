package com.google.fcp.aggregation;

import static com.google.fcp.testing.Messages.concat;
import static com.google.fcp.testing.Messages.federatedSum;
import static com.google.fcp.testing.Messages.field;
import static com.google.fcp.testing.Messages.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

class AggregationSessionTest {
  private static final int INVALID_ARGUMENT = 3;
  private static final int FAILED_PRECONDITION = 9;
  private static final int DATA_LOSS = 15;

  private static final byte[] CONFIGURATION = federatedSum("x", "x", 2);

  /** A contribution: the report of a session that has merged the state of a session with these values. */
  private static byte[] checkpoint(float... values) {
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      session.mergeWith(List.of(state(1, values)));
      return session.report();
    }
  }

  /** CheckpointAggregatorState { aggregators: AggVectorAggregatorState { num_inputs, vector_data } }. */
  private static byte[] state(int inputs, float... values) {
    return field(1, concat(field(1, inputs), field(2, floats(values))));
  }

  private static void assertFails(int code, String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(AggregationException.class, e -> assertThat(e.code()).isEqualTo(code))
        .hasMessageContaining(message);
  }

  @Test
  void sumsCheckpointsAndStates() {
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      session.accumulate(List.of(checkpoint(1, 10), checkpoint(2, 20)));
      session.mergeWith(List.of(state(2, 4, 40)));
      assertThat(session.serialize()).isEqualTo(state(4, 7, 70));
    }
  }

  @Test
  void aReportCanBeAccumulatedAgain() {
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      session.accumulate(List.of(checkpoint(1, 2)));
      assertThat(session.report()).isEqualTo(checkpoint(1, 2));
    }
  }

  @Test
  void aSessionIsUsedUpByItsResult() {
    try (AggregationSession reported = AggregationSession.create(CONFIGURATION);
        AggregationSession serialized = AggregationSession.create(CONFIGURATION)) {
      reported.report();
      serialized.serialize();
      for (AggregationSession session : List.of(reported, serialized)) {
        assertFails(FAILED_PRECONDITION, "already", session::report);
        assertFails(FAILED_PRECONDITION, "already", session::serialize);
        assertFails(FAILED_PRECONDITION, "already", () -> session.accumulate(List.of()));
        assertFails(FAILED_PRECONDITION, "already", () -> session.mergeWith(List.of()));
      }
    }
  }

  @Test
  void aBadElementLeavesNothingOfItsCall() {
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      byte[] good = checkpoint(1, 1);
      byte[] damaged = good.clone();
      damaged[10] ^= 1;
      assertFails(DATA_LOSS, "checkpoints[1]", () -> session.accumulate(List.of(good, damaged)));
      assertFails(INVALID_ARGUMENT, "checkpoints[1]", () -> session.accumulate(List.of(good, new byte[100])));
      assertFails(INVALID_ARGUMENT, "checkpoints[1] is null", () -> session.accumulate(Arrays.asList(good, null)));
      assertFails(INVALID_ARGUMENT, "serialized[1]", () -> session.mergeWith(List.of(state(1, 1, 1), new byte[] {1})));
      assertFails(INVALID_ARGUMENT, "serialized[1]", () -> session.mergeWith(List.of(state(1, 1, 1), state(1, 1))));
      assertThat(session.serialize()).isEqualTo(field(1, field(2, floats(0, 0))));
    }
  }

  @Test
  void badConfigurationsAreRefused() {
    assertFails(INVALID_ARGUMENT, "at least one intrinsic", () -> AggregationSession.create(new byte[0]));
    assertFails(INVALID_ARGUMENT, "Configuration", () -> AggregationSession.create(new byte[] {1, 2, 3}));
    assertFails(
        INVALID_ARGUMENT,
        "intrinsic \"fedsql_group_by\" is not supported",
        () -> AggregationSession.create(field(2, field(1, "fedsql_group_by"))));
    assertFails(
        INVALID_ARGUMENT, "\"\\xc3\\xa4\\x00\" is not supported", () -> AggregationSession.create(field(2, field(1, "\u00e4\0"))));
    assertFails(INVALID_ARGUMENT, "configuration is null", () -> AggregationSession.createNativeFromByteArray(null));
  }

  @Test
  void anotherConfigurationIsNotMerged() {
    long handle = AggregationSession.createNativeFromByteArray(CONFIGURATION);
    assertFails(
        INVALID_ARGUMENT,
        "not that of this session",
        () -> AggregationSession.mergeWith(handle, federatedSum("y", "x", 2), new byte[0][]));
    AggregationSession.closeNative(handle);
  }

  @Test
  void closedAndInventedSessionsAreErrors() {
    AggregationSession session = AggregationSession.create(CONFIGURATION);
    session.close();
    session.close();
    assertFails(FAILED_PRECONDITION, "closed", () -> session.accumulate(List.of(checkpoint(1, 2))));
    assertFails(FAILED_PRECONDITION, "closed", session::report);
    for (long handle : new long[] {0, -1, Long.MAX_VALUE}) {
      AggregationSession.closeNative(handle);
      assertFails(FAILED_PRECONDITION, "closed", () -> AggregationSession.serialize(handle));
      assertFails(FAILED_PRECONDITION, "closed", () -> AggregationSession.runAccumulate(handle, null));
    }
  }

  @Test
  void nullArraysAreErrors() {
    long handle = AggregationSession.createNativeFromByteArray(CONFIGURATION);
    assertFails(INVALID_ARGUMENT, "checkpoints is null", () -> AggregationSession.runAccumulate(handle, null));
    assertFails(INVALID_ARGUMENT, "serialized is null", () -> AggregationSession.mergeWith(handle, CONFIGURATION, null));
    assertFails(INVALID_ARGUMENT, "configuration is null", () -> AggregationSession.mergeWith(handle, null, new byte[0][]));
    AggregationSession.closeNative(handle);
  }

  @Test
  void noBytesCrashTheJvm() {
    Random random = new Random(1);
    byte[] good = checkpoint(1, 2);
    byte[] state = state(1, 1, 2);
    for (int i = 0; i < 20_000; i++) {
      byte[] bytes = (i % 3 == 0 ? CONFIGURATION : i % 3 == 1 ? good : state).clone();
      for (int k = random.nextInt(4); k >= 0; k--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      byte[] damaged = Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
      try (AggregationSession session = AggregationSession.create(i % 3 == 0 ? damaged : CONFIGURATION)) {
        if (i % 3 == 1) {
          session.accumulate(List.of(damaged));
        } else if (i % 3 == 2) {
          session.mergeWith(List.of(damaged));
        }
      } catch (AggregationException expected) {
        assertThat(expected.code()).isIn(INVALID_ARGUMENT, DATA_LOSS, 8);
      }
    }
  }

  @Test
  void threadsMayShareASession() throws Exception {
    byte[] contribution = checkpoint(1, 2);
    ExecutorService pool = Executors.newFixedThreadPool(8);
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      List<Callable<Void>> calls = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        calls.add(
            () -> {
              session.accumulate(List.of(contribution));
              return null;
            });
      }
      for (Future<Void> call : pool.invokeAll(calls)) {
        call.get();
      }
      assertThat(session.serialize()).isEqualTo(state(200, 200, 400));
    } finally {
      pool.shutdown();
    }
  }

  @Test
  void threadsMayCloseWhatOthersUse() throws Exception {
    byte[] contribution = checkpoint(1, 2);
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      for (int i = 0; i < 200; i++) {
        AggregationSession session = AggregationSession.create(CONFIGURATION);
        List<Callable<Void>> calls = new ArrayList<>();
        for (int k = 0; k < 4; k++) {
          boolean closes = k == 3;
          calls.add(
              () -> {
                try {
                  if (closes) {
                    session.close();
                  } else {
                    session.accumulate(List.of(contribution));
                  }
                } catch (AggregationException e) {
                  assertThat(e.code()).isEqualTo(FAILED_PRECONDITION);
                }
                return null;
              });
        }
        for (Future<Void> call : pool.invokeAll(calls)) {
          call.get();
        }
      }
    } finally {
      pool.shutdown();
    }
  }
}

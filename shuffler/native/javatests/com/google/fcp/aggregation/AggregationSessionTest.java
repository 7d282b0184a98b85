package com.google.fcp.aggregation;

import static com.google.fcp.testing.Messages.DOUBLE;
import static com.google.fcp.testing.Messages.INT64;
import static com.google.fcp.testing.Messages.STRING;
import static com.google.fcp.testing.Messages.concat;
import static com.google.fcp.testing.Messages.federatedSum;
import static com.google.fcp.testing.Messages.field;
import static com.google.fcp.testing.Messages.floats;
import static com.google.fcp.testing.Messages.spec;
import static com.google.fcp.testing.Messages.varint;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

class AggregationSessionTest {
  private static final int INVALID_ARGUMENT = 3;
  private static final int RESOURCE_EXHAUSTED = 8;
  private static final int FAILED_PRECONDITION = 9;
  private static final int OUT_OF_RANGE = 11;
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

  /** An intrinsic without uri: input and output x, a vector of two floats. */
  private static byte[] federatedSumArguments() {
    return concat(field(4, field(2, spec("x", 2))), field(5, spec("x", 2)));
  }

  /** fedsql_dp_group_by of texts k with a private sum of x, both columns of unknown length. */
  private static byte[] privateGroupBy() {
    byte[] unknown = field(3, field(1, varint(-1)));
    byte[] key = concat(field(1, "k"), field(2, STRING), unknown);
    byte[] value = concat(field(1, "x"), field(2, DOUBLE), unknown);
    byte[] one = concat(field(1, DOUBLE), field(4, ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putDouble(0.5).array()));
    byte[] parameters = concat(field(4, field(3, one)), field(4, field(3, one)), field(4, field(3, one)));
    byte[] inner =
        concat(field(1, "GoogleSQL:$differential_privacy_sum"), field(4, field(2, value)), parameters, field(5, value));
    byte[] l0 = concat(field(1, INT64), field(4, new byte[] {3, 0, 0, 0, 0, 0, 0, 0}));
    byte[] budget = concat(field(4, field(3, one)), field(4, field(3, one)), field(4, field(3, l0)));
    return field(2, concat(field(1, "fedsql_dp_group_by"), field(4, field(2, key)), budget, field(5, key), field(6, inner)));
  }

  /** A state of it: two groups, with a sum of 10^6 each. */
  private static byte[] privateGroups() {
    byte[] keys = concat(field(1, STRING), field(2, field(1, varint(2))), field(4, new byte[] {1, 2, 'a', 'b', 'b'}));
    byte[] sums = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putDouble(1e6).putDouble(1e6).array();
    return field(1, concat(field(1, 2), field(2, keys), field(3, concat(field(1, 2), field(2, sums)))));
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
  void aRefusedContributionChangesNothing() {
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      session.accumulate(List.of(checkpoint(1, 2)));
      byte[] other = AggregationSession.create(federatedSum("x", "x", 3)).report();
      assertFails(INVALID_ARGUMENT, "expected float[2]", () -> session.accumulate(List.of(other)));
      byte[] renamed = AggregationSession.create(federatedSum("x", "y", 2)).report();
      assertFails(INVALID_ARGUMENT, "tensor x is missing", () -> session.accumulate(List.of(renamed)));
      assertFails(INVALID_ARGUMENT, "not finite", () -> session.mergeWith(List.of(state(1, Float.NaN, 0))));
      assertFails(INVALID_ARGUMENT, "not finite", () -> session.mergeWith(List.of(state(1, 0, Float.NEGATIVE_INFINITY))));
      assertThat(session.serialize()).isEqualTo(state(1, 1, 2));
    }
  }

  @Test
  void aSumBeyondItsTypeIsAnErrorThatLeavesTheSession() {
    try (AggregationSession session = AggregationSession.create(CONFIGURATION)) {
      session.mergeWith(List.of(state(1, 0, 3e38f), state(1, 0, 3e38f)));
      assertFails(OUT_OF_RANGE, "element 1 is beyond the type float", session::report);
      assertFails(OUT_OF_RANGE, "element 1 is beyond the type float", session::serialize);
    }
  }

  @Test
  void aMeanOfNothingIsAnError() {
    byte[] configuration = concat(field(2, concat(field(1, "federated_mean"), federatedSumArguments())));
    try (AggregationSession session = AggregationSession.create(configuration)) {
      assertFails(FAILED_PRECONDITION, "no mean x of no contributions", session::report);
      session.accumulate(List.of(checkpoint(1, 2), checkpoint(2, 6)));
      assertThat(session.report()).isEqualTo(checkpoint(1.5f, 4));
    }
  }

  /** A checkpoint with values that the library itself does not write: those of the first block are changed, and its checksum. */
  private static byte[] unchecked(float first, float second) {
    byte[] bytes = checkpoint(1.25f, -2.5f);
    ByteBuffer checkpoint = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int end = 0;
    while (checkpoint.getInt(end) != checksum(bytes, end)) {
      end++;
    }
    int values = new String(bytes, StandardCharsets.ISO_8859_1)
        .indexOf(new String(floats(1.25f, -2.5f), StandardCharsets.ISO_8859_1));
    System.arraycopy(floats(first, second), 0, bytes, values, 8);
    checkpoint.putInt(end, checksum(bytes, end));
    return bytes;
  }

  /** Of the first bytes, as a table has it. */
  private static int checksum(byte[] bytes, int count) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, count);
    return Integer.rotateRight((int) crc.getValue(), 15) + 0xa282ead8;
  }

  @Test
  void checkpointsThatAreSummedElsewhereAreFinite() {
    AggregationSession.checkFinite(checkpoint(1, 2));
    AggregationSession.checkFinite(unchecked(Float.MAX_VALUE, Float.MIN_VALUE));
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      for (byte[] checkpoint : List.of(unchecked(bad, 0), unchecked(0, bad))) {
        assertFails(
            INVALID_ARGUMENT,
            "tensor x (float[2]) has a number that is not finite",
            () -> AggregationSession.checkFinite(checkpoint));
      }
    }
    byte[] damaged = checkpoint(1, 2);
    damaged[10] ^= 1;
    assertFails(DATA_LOSS, "checksum", () -> AggregationSession.checkFinite(damaged));
    assertFails(INVALID_ARGUMENT, "not an intact V1 checkpoint", () -> AggregationSession.checkFinite(new byte[100]));
    assertFails(INVALID_ARGUMENT, "checkpoint is null", () -> AggregationSession.checkFinite(null));
  }

  @Test
  void badConfigurationsAreRefused() {
    assertFails(INVALID_ARGUMENT, "at least one intrinsic", () -> AggregationSession.create(new byte[0]));
    assertFails(INVALID_ARGUMENT, "Configuration", () -> AggregationSession.create(new byte[] {1, 2, 3}));
    assertFails(
        INVALID_ARGUMENT,
        "intrinsic \"federated_max\" is not supported",
        () -> AggregationSession.create(field(2, field(1, "federated_max"))));
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
      boolean grouped = i % 4 == 3;
      byte[] configuration = grouped ? privateGroupBy() : CONFIGURATION;
      byte[] bytes = (i % 3 == 0 ? configuration : i % 3 == 1 ? good : grouped ? privateGroups() : state).clone();
      for (int k = random.nextInt(4); k >= 0; k--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      byte[] damaged = Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
      try (AggregationSession session = AggregationSession.create(i % 3 == 0 ? damaged : configuration)) {
        if (i % 3 == 1) {
          AggregationSession.checkFinite(damaged);
          session.accumulate(List.of(damaged));
        } else if (i % 3 == 2) {
          session.mergeWith(List.of(damaged));
          session.report();
        }
      } catch (AggregationException expected) {
        assertThat(expected.code()).isIn(INVALID_ARGUMENT, DATA_LOSS, RESOURCE_EXHAUSTED);
      }
    }
  }

  @Test
  void privateSumsAreNoisy() {
    List<byte[]> reports = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      try (AggregationSession session = AggregationSession.create(privateGroupBy())) {
        session.mergeWith(List.of(privateGroups()));
        reports.add(session.report());
      }
    }
    // 64 bits of noise in each of two sums: no two reports are alike.
    assertThat(reports).doesNotHaveDuplicates();
    assertThat(reports).allSatisfy(report -> assertThat(report).hasSameSizeAs(reports.get(0)));
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

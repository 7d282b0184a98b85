package com.google.fcp.tensorflow;

import static com.google.fcp.testing.Messages.FLOAT;
import static com.google.fcp.testing.Messages.STRING;
import static com.google.fcp.testing.Messages.attribute;
import static com.google.fcp.testing.Messages.concat;
import static com.google.fcp.testing.Messages.field;
import static com.google.fcp.testing.Messages.node;
import static com.google.fcp.testing.Messages.placeholder;
import static com.google.fcp.testing.Messages.restoreGraph;
import static com.google.fcp.testing.Messages.saveGraph;
import static com.google.fcp.testing.Messages.string;
import static com.google.fcp.testing.Messages.strings;
import static com.google.fcp.testing.Messages.type;
import static com.google.fcp.testing.Messages.vector;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorflowSessionTest {
  private static final int INVALID_ARGUMENT = 3;
  private static final int FAILED_PRECONDITION = 9;
  private static final int DATA_LOSS = 15;

  private static final byte[] DOUBLE_GRAPH =
      concat(placeholder("x", FLOAT), node("sum", "AddV2", "x,x", attribute("T", type(FLOAT))));

  private static void assertFails(int code, String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(TensorflowException.class, e -> assertThat(e.code()).isEqualTo(code))
        .hasMessageContaining(message);
  }

  @Test
  void theVersionIsThatOfTheWheel() {
    assertThat(TensorflowSession.checkTensorflow()).isEqualTo("2.14.1");
  }

  @Test
  void feedsAndFetches() {
    try (TensorflowSession session = TensorflowSession.create(DOUBLE_GRAPH)) {
      assertThat(session.run(Map.of("x", vector(1.5f, -2)), List.of("sum"), List.of())).containsExactly(vector(3, -4));
      assertThat(session.run(Map.of("x:0", vector(1)), List.of("sum:0", "sum"), List.of())).containsExactly(vector(2), vector(2));
      // Values of a TensorProto may stand in float_val, the last one for all that follow.
      byte[] filled = concat(field(1, FLOAT), field(2, field(2, field(1, 3))), field(5, new byte[] {0, 0, -128, 63}));
      assertThat(session.run(Map.of("x", filled), List.of("sum"), List.of())).containsExactly(vector(2, 2, 2));
      assertFails(INVALID_ARGUMENT, "at least one target", () -> session.run(Map.of(), List.of(), List.of()));
    }
  }

  @Test
  void stringsComeBack() {
    byte[] graph = concat(placeholder("text", STRING), node("same", "Identity", "text", attribute("T", type(STRING))));
    try (TensorflowSession session = TensorflowSession.create(graph)) {
      byte[] text = strings("", "short", "a text that is too long to be stored in place");
      assertThat(session.run(Map.of("text", text), List.of("same"), List.of())).containsExactly(text);
    }
  }

  @Test
  void whatIsNotRunIsNotPlaced() {
    byte[] nowhere =
        field(1, concat(field(1, "nowhere"), field(2, "Identity"), field(3, "x"), field(4, "/device:GPU:7"), attribute("T", type(FLOAT))));
    try (TensorflowSession session = TensorflowSession.create(concat(DOUBLE_GRAPH, nowhere))) {
      assertThat(session.run(Map.of("x", vector(1)), List.of("sum"), List.of())).containsExactly(vector(2));
      assertFails(INVALID_ARGUMENT, "nowhere", () -> session.run(Map.of("x", vector(1)), List.of("nowhere"), List.of()));
    }
  }

  @Test
  void savesAndRestoresCheckpoints(@TempDir Path directory) throws Exception {
    Path file = directory.resolve("checkpoint");
    try (TensorflowSession session = TensorflowSession.create(saveGraph())) {
      session.run(Map.of("file", string(file.toString()), "names", strings("w"), "x", vector(1, 2)), List.of(), List.of("save"));
    }
    TensorflowSession.validateCheckpoint(file, 8);
    assertFails(INVALID_ARGUMENT, "tensor w (float[2]) takes 8 bytes", () -> TensorflowSession.validateCheckpoint(file, 7));
    try (TensorflowSession session = TensorflowSession.create(restoreGraph())) {
      assertThat(session.run(Map.of("file", string(file.toString()), "name", string("w")), List.of("restore"), List.of()))
          .containsExactly(vector(1, 2));
    }

    byte[] bytes = Files.readAllBytes(file);
    bytes[20] ^= 1;
    Path damaged = Files.write(directory.resolve("damaged"), bytes);
    assertFails(DATA_LOSS, "checksum", () -> TensorflowSession.validateCheckpoint(damaged, 8));
    Path truncated = Files.write(directory.resolve("truncated"), Arrays.copyOf(bytes, 30));
    assertFails(INVALID_ARGUMENT, "not an intact V1 checkpoint", () -> TensorflowSession.validateCheckpoint(truncated, 8));
    Path missing = directory.resolve("missing");
    assertFails(INVALID_ARGUMENT, "No such file", () -> TensorflowSession.validateCheckpoint(missing, 8));
    assertFails(INVALID_ARGUMENT, "not a regular file", () -> TensorflowSession.validateCheckpoint(directory, 8));
    assertFails(INVALID_ARGUMENT, "negative", () -> TensorflowSession.validateCheckpoint(file, -1));
  }

  @Test
  void wrongNamesAndTensorsAreErrors() {
    Map<String, byte[]> x = Map.of("x", vector(1));
    try (TensorflowSession session = TensorflowSession.create(DOUBLE_GRAPH)) {
      assertFails(INVALID_ARGUMENT, "no operation for tensor \"absent\"", () -> session.run(x, List.of("absent"), List.of()));
      assertFails(INVALID_ARGUMENT, "only 1 outputs", () -> session.run(x, List.of("sum:1"), List.of()));
      for (String name : List.of("sum:", "sum:x", "sum:-1", "sum:0:0", "sum:99999999999")) {
        assertFails(INVALID_ARGUMENT, "expected a tensor name", () -> session.run(x, List.of(name), List.of()));
      }
      assertFails(INVALID_ARGUMENT, "no operation \"absent\" to run", () -> session.run(x, List.of(), List.of("absent")));
      assertFails(INVALID_ARGUMENT, "x", () -> session.run(Map.of(), List.of("sum"), List.of()));
      assertFails(INVALID_ARGUMENT, "input \"x\"", () -> session.run(Map.of("x", new byte[] {1, 2, 3}), List.of("sum"), List.of()));
      assertFails(INVALID_ARGUMENT, "", () -> session.run(Map.of("x", strings("text")), List.of("sum"), List.of()));
      // The session still works.
      assertThat(session.run(x, List.of("sum"), List.of())).containsExactly(vector(2));
    }
    assertFails(INVALID_ARGUMENT, "graph", () -> TensorflowSession.create(new byte[] {1, 2, 3}));
    assertFails(5, "NoSuchOp", () -> TensorflowSession.create(node("a", "NoSuchOp", "")));
  }

  @Test
  void aClaimedShapeIsAnError() {
    // Shapes without values stand for zeros, and these for more than any machine has, or than 63 bits can count.
    try (TensorflowSession session = TensorflowSession.create(DOUBLE_GRAPH)) {
      for (long[] shape : new long[][] {{1L << 50}, {1L << 40, 1L << 40}, {-5}, {Long.MAX_VALUE, 2}}) {
        byte[] dimensions = new byte[0];
        for (long size : shape) {
          dimensions = concat(dimensions, field(2, field(1, size)));
        }
        byte[] tensor = concat(field(1, FLOAT), field(2, dimensions));
        assertThatThrownBy(() -> session.run(Map.of("x", tensor), List.of("sum"), List.of())).isInstanceOf(TensorflowException.class);
      }
    }
  }

  @Test
  void nullAndUnequalArraysAreErrors() {
    assertFails(INVALID_ARGUMENT, "graphDef is null", () -> TensorflowSession.createNativeFromByteArray(null));
    assertFails(INVALID_ARGUMENT, "file is null", () -> TensorflowSession.validateCheckpoint((String) null, 1));
    long handle = TensorflowSession.createNativeFromByteArray(DOUBLE_GRAPH);
    String[] x = {"x"};
    String[] none = {};
    byte[][] tensor = {vector(1)};
    byte[][] nothing = {};
    assertFails(INVALID_ARGUMENT, "inNames is null", () -> TensorflowSession.runNative(handle, null, tensor, none, nothing, none));
    assertFails(INVALID_ARGUMENT, "inTensorProtos is null", () -> TensorflowSession.runNative(handle, x, null, none, nothing, none));
    assertFails(INVALID_ARGUMENT, "outNames is null", () -> TensorflowSession.runNative(handle, x, tensor, null, nothing, none));
    assertFails(INVALID_ARGUMENT, "outTensorProtos is null", () -> TensorflowSession.runNative(handle, x, tensor, none, null, none));
    assertFails(INVALID_ARGUMENT, "targetNodes is null", () -> TensorflowSession.runNative(handle, x, tensor, none, nothing, null));
    assertFails(
        INVALID_ARGUMENT, "inNames is null", () -> TensorflowSession.runNative(handle, new String[1], tensor, none, nothing, none));
    assertFails(
        INVALID_ARGUMENT, "inTensorProtos is null", () -> TensorflowSession.runNative(handle, x, new byte[1][], none, nothing, none));
    assertFails(INVALID_ARGUMENT, "as many tensors", () -> TensorflowSession.runNative(handle, x, nothing, none, nothing, none));
    assertFails(INVALID_ARGUMENT, "as many tensors", () -> TensorflowSession.runNative(handle, x, tensor, x, nothing, none));
    TensorflowSession.closeNative(handle);
  }

  @Test
  void closedAndInventedSessionsAreErrors() {
    TensorflowSession session = TensorflowSession.create(DOUBLE_GRAPH);
    session.close();
    session.close();
    assertFails(FAILED_PRECONDITION, "closed", () -> session.run(Map.of(), List.of(), List.of()));
    for (long handle : new long[] {0, -1, Long.MAX_VALUE}) {
      TensorflowSession.closeNative(handle);
      assertFails(FAILED_PRECONDITION, "closed", () -> TensorflowSession.runNative(handle, null, null, null, null, null));
    }
  }

  @Test
  void noBytesCrashTheJvm() {
    Random random = new Random(1);
    byte[] good = vector(1, 2);
    try (TensorflowSession session = TensorflowSession.create(DOUBLE_GRAPH)) {
      for (int i = 0; i < 2_000; i++) {
        byte[] damaged = (i % 2 == 0 ? good : DOUBLE_GRAPH).clone();
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
        damaged = Arrays.copyOf(damaged, random.nextInt(damaged.length + 1));
        try {
          if (i % 2 == 0) {
            session.run(Map.of("x", damaged), List.of("sum"), List.of());
          } else {
            TensorflowSession.create(damaged).close();
          }
        } catch (TensorflowException expected) {
          assertThat(expected.code()).isPositive();
        }
      }
    }
  }

  @Test
  void threadsMayRunAndCloseASession() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      for (int i = 0; i < 50; i++) {
        TensorflowSession session = TensorflowSession.create(DOUBLE_GRAPH);
        List<Callable<Void>> calls = new ArrayList<>();
        for (int k = 0; k < 8; k++) {
          boolean closes = k == 5;
          calls.add(
              () -> {
                try {
                  if (closes) {
                    session.close();
                  } else {
                    assertThat(session.run(Map.of("x", vector(1)), List.of("sum"), List.of())).containsExactly(vector(2));
                  }
                } catch (TensorflowException e) {
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

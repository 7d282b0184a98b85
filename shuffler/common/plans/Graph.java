package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import com.google.fcp.tensorflow.TensorflowException;
import com.google.fcp.tensorflow.TensorflowSession;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.tensorflow.framework.DataType;
import org.tensorflow.framework.TensorProto;
import org.tensorflow.framework.TensorShapeProto;

/** A graph of a plan that can be run. Its failures are PlanExceptions that name the step. */
final class Graph implements AutoCloseable {
  // As the reference has it: no model that a device downloads has a larger tensor.
  private static final int MAX_TENSOR_BYTES = 500 << 20;

  private final TensorflowSession session;

  /**
   * Opens a graph.
   *
   * @param name of the plan's field, for messages
   * @param packed a {@code tensorflow.GraphDef}
   */
  Graph(String name, Any packed) {
    if (!packed.getTypeUrl().endsWith("/tensorflow.GraphDef")) {
      throw new PlanException(name + ": expected a tensorflow.GraphDef, found "
          + (packed.getTypeUrl().isEmpty() ? "nothing" : "'" + printable(packed.getTypeUrl()) + "'"));
    }
    session = checked(name, () -> TensorflowSession.create(packed.getValue().toByteArray()));
  }

  /** Checks a file that an operation is about to restore. */
  static void validate(String step, Path checkpoint) {
    checked(step, () -> {
      TensorflowSession.validateCheckpoint(checkpoint, MAX_TENSOR_BYTES);
      return null;
    });
  }

  /** The path of a file as what is fed to a tensor; nothing if the plan does not name one. */
  static Map<String, byte[]> feed(String tensor, Path file) {
    return tensor.isEmpty() ? Map.of() : Map.of(tensor, path(file));
  }

  /** A tensor that holds the path of a file, serialized. */
  static byte[] path(Path file) {
    return TensorProto.newBuilder()
        .setDtype(DataType.DT_STRING)
        .setTensorShape(TensorShapeProto.getDefaultInstance())
        .addStringVal(ByteString.copyFromUtf8(file.toString()))
        .build()
        .toByteArray();
  }

  /** Plans name operations also by their first output. */
  private static String operation(String name) {
    return name.endsWith(":0") ? name.substring(0, name.length() - 2) : name;
  }

  /** Runs an operation; nothing if the plan does not name one. */
  void run(String step, String operation, Map<String, byte[]> inputs) {
    if (!operation.isEmpty()) {
      checked(step, () -> session.run(inputs, List.of(), List.of(operation(operation))));
    }
  }

  /** Runs operations and fetches tensors: the first number of each, by their names. */
  Map<String, Double> fetch(String step, Map<String, byte[]> inputs, List<String> tensors, List<String> operations) {
    List<String> targets = new ArrayList<>(operations);
    targets.replaceAll(Graph::operation);
    List<byte[]> fetched = checked(step, () -> session.run(inputs, tensors, targets));
    Map<String, Double> numbers = new HashMap<>();
    for (int i = 0; i < fetched.size(); i++) {
      try {
        numbers.put(tensors.get(i), Numbers.first(TensorProto.parseFrom(fetched.get(i))));
      } catch (InvalidProtocolBufferException impossible) {
        throw new IllegalStateException("TensorFlow returned a tensor that is none", impossible);
      }
    }
    return numbers;
  }

  @Override
  public void close() {
    session.close();
  }

  private static <T> T checked(String step, Supplier<T> call) {
    try {
      return call.get();
    } catch (TensorflowException failure) {
      throw new PlanException(step + ": " + printable(failure.getMessage()), failure);
    }
  }

  /** The first line: TensorFlow goes on with the call stacks of those who made the graph. */
  private static String printable(String message) {
    String line = message.lines().findFirst().orElse("").replaceAll("\\p{Cntrl}", "?");
    return line.length() > 500 ? line.substring(0, 500) + "..." : line;
  }
}

package com.google.fcp.tensorflow;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A TensorFlow graph that can be run: {@code libtensorflow-jni.so}, found through {@code java.library.path}.
 *
 * <p>Thread-safe: calls run side by side, and a session that is closed during a call lives until the call returns. Every error is a
 * {@link TensorflowException}; a call on a closed session has code 9 (FAILED_PRECONDITION).
 */
public final class TensorflowSession implements AutoCloseable {
  static {
    System.loadLibrary("tensorflow-jni");
  }

  private final long handle;

  private TensorflowSession(long handle) {
    this.handle = handle;
  }

  /**
   * Opens a session. Operations are placed when they are first run, and only those that are needed (place_pruned_graph).
   *
   * @param graphDef a serialized {@code tensorflow.GraphDef}
   */
  public static TensorflowSession create(byte[] graphDef) {
    return new TensorflowSession(createNativeFromByteArray(graphDef));
  }

  /**
   * Feeds tensors, runs operations and fetches tensors.
   *
   * @param inputs serialized {@code tensorflow.TensorProto}s by tensor name ({@code "operation:0"}, or {@code "operation"} for output 0)
   * @param outputs names of the tensors to fetch
   * @param targets names of operations to run without fetching anything
   * @return the fetched tensors as serialized TensorProtos, in the order of {@code outputs}
   */
  public List<byte[]> run(Map<String, byte[]> inputs, List<String> outputs, List<String> targets) {
    String[] inNames = inputs.keySet().toArray(new String[0]);
    byte[][] inTensors = new byte[inNames.length][];
    for (int i = 0; i < inNames.length; i++) {
      inTensors[i] = inputs.get(inNames[i]);
    }
    byte[][] outTensors = new byte[outputs.size()][];
    runNative(handle, inNames, inTensors, outputs.toArray(new String[0]), outTensors, targets.toArray(new String[0]));
    return Arrays.asList(outTensors);
  }

  /** Closes the session; a second call does nothing. */
  @Override
  public void close() {
    closeNative(handle);
  }

  /**
   * Checks that a file is an intact V1 checkpoint without oversized tensors, before a graph restores it.
   *
   * @param maxTensorBytes the most that one tensor may take in memory, in bytes
   */
  public static void validateCheckpoint(Path file, int maxTensorBytes) {
    validateCheckpoint(file.toString(), maxTensorBytes);
  }

  /** Builds and runs a small graph, and returns the version of TensorFlow that ran it, such as {@code "2.14.1"}. */
  public static native String checkTensorflow();

  // Handles are checked by the library: a closed or invented one is an error, not a crash.
  static native long createNativeFromByteArray(byte[] graphDef);

  static native void closeNative(long handle);

  static native void runNative(
      long handle, String[] inNames, byte[][] inTensorProtos, String[] outNames, byte[][] outTensorProtos, String[] targetNodes);

  static native void validateCheckpoint(String file, int maxTensorBytes);
}

package com.google.fcp.aggregation;

import java.util.List;

/**
 * Aggregates TensorFlow V1 checkpoints: {@code libaggregation-jni.so}, found through {@code java.library.path}.
 *
 * <p>Thread-safe: calls on one session wait for each other. A call counts wholly or, if it throws, not at all. Every error is an
 * {@link AggregationException}; a call on a session that is closed or used up has code 9 (FAILED_PRECONDITION).
 */
public final class AggregationSession implements AutoCloseable {
  static {
    System.loadLibrary("aggregation-jni");
  }

  private final long handle;
  private final byte[] configuration;

  private AggregationSession(long handle, byte[] configuration) {
    this.handle = handle;
    this.configuration = configuration;
  }

  /**
   * Opens a session that has taken in nothing.
   *
   * @param configuration a serialized {@code fcp.aggregation.Configuration}
   */
  public static AggregationSession create(byte[] configuration) {
    byte[] copy = configuration.clone();
    return new AggregationSession(createNativeFromByteArray(copy), copy);
  }

  /**
   * Takes in contributions, each a V1 checkpoint with at least the input tensors of the configuration. Code 15 (DATA_LOSS) if a checksum
   * differs; code 3 (INVALID_ARGUMENT) if it is no checkpoint, or a tensor is missing, of another type or shape, or not finite.
   */
  public void accumulate(List<byte[]> checkpoints) {
    runAccumulate(handle, checkpoints.toArray(new byte[0][]));
  }

  /** Takes in what {@link #serialize} of sessions with the same configuration returned. */
  public void mergeWith(List<byte[]> serialized) {
    mergeWith(handle, configuration, serialized.toArray(new byte[0][]));
  }

  /**
   * Returns all that was taken in, as a serialized {@code CheckpointAggregatorState}. The session is used up, unless a sum of finite numbers
   * is beyond its type: code 11 (OUT_OF_RANGE).
   */
  public byte[] serialize() {
    return serialize(handle);
  }

  /**
   * Returns the aggregate as a V1 checkpoint with the output tensors of the configuration. The session is used up, unless a sum is beyond its
   * type, as above, or a mean has no contributions: code 9.
   */
  public byte[] report() {
    return runReport(handle);
  }

  /**
   * Looks at a V1 checkpoint that is summed up elsewhere. Code 15 (DATA_LOSS) if a checksum differs; code 3 (INVALID_ARGUMENT) if it is no
   * checkpoint, or a number in it is not finite, in whatever tensor.
   */
  public static native void checkFinite(byte[] checkpoint);

  /** Closes the session; a second call does nothing. */
  @Override
  public void close() {
    closeNative(handle);
  }

  // Handles are checked by the library: a closed or invented one is an error, not a crash.
  static native long createNativeFromByteArray(byte[] configuration);

  static native void closeNative(long handle);

  static native void runAccumulate(long handle, byte[][] checkpoints);

  static native void mergeWith(long handle, byte[] configuration, byte[][] serialized);

  static native byte[] serialize(long handle);

  static native byte[] runReport(long handle);
}

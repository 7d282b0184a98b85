package com.google.fcp.tensorflow;

/** An error of TensorFlow or of the library around it. */
public final class TensorflowException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int code;

  /**
   * @param code as in google.rpc.Code: 3 is INVALID_ARGUMENT, 9 FAILED_PRECONDITION, ...
   * @param message what was expected and what was found
   */
  public TensorflowException(int code, String message) {
    super(message);
    this.code = code;
  }

  /** The number of the error in google.rpc.Code. */
  public int code() {
    return code;
  }
}

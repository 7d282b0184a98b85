package com.google.fcp.aggregation;

/** An error of the aggregation library. */
public final class AggregationException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int code;

  /**
   * @param code as in google.rpc.Code: 3 is INVALID_ARGUMENT, 9 FAILED_PRECONDITION, ...
   * @param message what was expected and what was found
   */
  public AggregationException(int code, String message) {
    super(message);
    this.code = code;
  }

  /** The number of the error in google.rpc.Code. */
  public int code() {
    return code;
  }
}

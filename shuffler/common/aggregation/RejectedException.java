package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

/** A contribution or an intermediate result that the plan does not take; nothing of it counts. */
public final class RejectedException extends Exception {
  private static final long serialVersionUID = 1;

  public RejectedException(String message, Throwable cause) {
    super(message, cause);
  }
}

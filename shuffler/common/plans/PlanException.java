package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

/**
 * A plan cannot be run, or not with what it was given. The message says why in one line; a failure within TensorFlow is the cause, a
 * {@link com.google.fcp.tensorflow.TensorflowException}.
 */
public final class PlanException extends RuntimeException {
  private static final long serialVersionUID = 1;

  PlanException(String message) {
    super(message);
  }

  PlanException(String message, Throwable cause) {
    super(message, cause);
  }
}

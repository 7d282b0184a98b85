package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

/** Keys cannot be had now: a service does not answer, or answers something else. It may later. */
public final class KeyServiceException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public KeyServiceException(String message) {
    super(message);
  }

  public KeyServiceException(String message, Throwable cause) {
    super(message, cause);
  }
}

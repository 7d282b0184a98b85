package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

/** Options that a service cannot start with. The message is one line, and shows no value that may be a secret. */
public final class InvalidOptionsException extends RuntimeException {
  public InvalidOptionsException(String message) {
    super(message);
  }
}

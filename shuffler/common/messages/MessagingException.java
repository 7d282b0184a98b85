package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

/** Messages cannot be sent or received now. */
public final class MessagingException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public MessagingException(String message) {
    super(message);
  }

  public MessagingException(String message, Throwable cause) {
    super(message, cause);
  }
}

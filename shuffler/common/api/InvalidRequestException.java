package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

/** A request that cannot be fulfilled, however often it comes. The message is for its sender and repeats nothing that could do harm. */
public final class InvalidRequestException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public InvalidRequestException(String message) {
    super(message);
  }
}

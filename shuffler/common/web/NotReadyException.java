package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

/** A service cannot do its work now. The message is one line that says what it lacks. */
public final class NotReadyException extends Exception {
  public NotReadyException(String message) {
    super(message);
  }
}

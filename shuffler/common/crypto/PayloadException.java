package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

/** Bytes that should be an encrypted payload and are none, or one that its key does not open: however often it is read. */
public class PayloadException extends Exception {
  private static final long serialVersionUID = 1;

  PayloadException(String message) {
    super(message);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.gcp;

/** An option's value cannot be had from Google Cloud. The message is one line without any value. */
public final class CloudOptionsException extends RuntimeException {
  CloudOptionsException(String message, Throwable cause) {
    super(message, cause);
  }
}

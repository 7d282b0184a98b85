package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

/** A payload is encrypted to a key that nobody knows. */
public final class KeyNotFoundException extends PayloadException {
  private static final long serialVersionUID = 1;

  public KeyNotFoundException(String keyId) {
    // An id is whatever the sender of a payload wrote.
    super("no key has the id of the payload (" + keyId.length() + " characters)");
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication;

/** The attestation service gave no usable answer. The message shows neither key nor record. */
final class AttestationException extends Exception {
  private static final long serialVersionUID = 1;

  AttestationException(String message) {
    super(message);
  }
}

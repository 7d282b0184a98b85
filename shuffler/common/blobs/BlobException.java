package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

/** A blob that is there cannot be read or written: the store refuses or does not answer, or the content is damaged or too large. */
public class BlobException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public BlobException(String message, Throwable cause) {
    super(message, cause);
  }

  public BlobException(String message) {
    super(message);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

/** The content of a blob is damaged or too large, however often it is read. */
public final class DamagedBlobException extends BlobException {
  private static final long serialVersionUID = 1;

  public DamagedBlobException(String message, Throwable cause) {
    super(message, cause);
  }

  public DamagedBlobException(String message) {
    super(message);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

/** There is no such blob. */
public final class BlobNotFoundException extends Exception {
  private static final long serialVersionUID = 1;

  public BlobNotFoundException(BlobName name) {
    super("no blob " + name);
  }
}

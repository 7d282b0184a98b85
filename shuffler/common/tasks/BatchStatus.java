package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** States of a batch of uploads that is aggregated at once. */
public enum BatchStatus implements Status {
  FULL(1),
  PUBLISH_COMPLETED(2),
  UPLOAD_COMPLETED(3),
  FAILED(101);

  private final long code;

  BatchStatus(long code) {
    this.code = code;
  }

  @Override
  public long code() {
    return code;
  }
}

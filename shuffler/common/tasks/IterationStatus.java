package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** States of an iteration. */
public enum IterationStatus implements Status {
  COLLECTING(0),
  AGGREGATING(1),
  APPLYING(4),
  COMPLETED(50),
  POST_PROCESSED(51),
  CANCELED(101),
  AGGREGATING_FAILED(102),
  APPLYING_FAILED(103);

  /** The last number of a state in which an iteration goes on. */
  private static final long LAST_ACTIVE = 49;

  private final long code;

  IterationStatus(long code) {
    this.code = code;
  }

  @Override
  public long code() {
    return code;
  }

  /** Whether the iteration goes on. */
  public boolean active() {
    return code <= LAST_ACTIVE;
  }
}

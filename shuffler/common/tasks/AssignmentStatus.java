package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** States of an assignment. An active one counts against the size of its iteration. */
public enum AssignmentStatus implements Status {
  ASSIGNED(0),
  LOCAL_COMPLETED(1),
  UPLOAD_COMPLETED(2),
  CANCELED(101),
  LOCAL_FAILED(102),
  LOCAL_NOT_ELIGIBLE(103),
  REMOTE_FAILED(104),
  LOCAL_FAILED_EXAMPLE_GENERATION(105),
  LOCAL_FAILED_MODEL_COMPUTATION(106),
  LOCAL_FAILED_OPS_ERROR(107),
  LOCAL_TIMEOUT(151),
  UPLOAD_TIMEOUT(152);

  private final long code;

  AssignmentStatus(long code) {
    this.code = code;
  }

  @Override
  public long code() {
    return code;
  }

  public boolean active() {
    return code <= 99;
  }
}

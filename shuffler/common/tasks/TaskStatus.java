package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** States of a task, with the numbers of the database (those of the protocol differ). */
public enum TaskStatus implements Status {
  OPEN(0),
  COMPLETED(1),
  CREATED(2),
  CANCELED(101),
  FAILED(102);

  private final long code;

  TaskStatus(long code) {
    this.code = code;
  }

  @Override
  public long code() {
    return code;
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** Names one device's part in an iteration; the session is a random UUID. */
public record AssignmentKey(IterationKey iteration, String session) {
  @Override
  public String toString() {
    return iteration + "/" + session;
  }
}

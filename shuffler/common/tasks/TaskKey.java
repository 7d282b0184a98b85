package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** Names a task: tasks are numbered from 1 on in each population. */
public record TaskKey(String population, long task) {
  @Override
  public String toString() {
    return population + "/" + task;
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** Names an iteration of a task: numbered from 1 on; the attempt is always 0. */
public record IterationKey(TaskKey task, long iteration, long attempt) {
  public static IterationKey of(String population, long task, long iteration) {
    return new IterationKey(new TaskKey(population, task), iteration, 0);
  }

  public String population() {
    return task.population();
  }

  @Override
  public String toString() {
    return task + "/" + iteration + "/" + attempt;
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** A population has at most one active training task and one active evaluation task. */
public final class ActiveTaskException extends RuntimeException {
  private static final long serialVersionUID = 1;

  ActiveTaskException(TaskKey active) {
    super("population " + active.population() + " has the active task " + active.task() + " of the same kind");
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import java.time.Clock;
import java.util.Optional;

/** Opens tasks that were created: evaluations at once, trainings when there is something that devices can download. */
public final class Opening {
  private final Artifacts artifacts;
  private final Transitions transitions;
  private final Clock clock;

  public Opening(Artifacts artifacts, Transitions transitions, Clock clock) {
    this.artifacts = artifacts;
    this.transitions = transitions;
    this.clock = clock;
  }

  /** What is to be done for a task by now; nothing if it has to wait. */
  Optional<Runnable> step(Task task) {
    if (task.settings().isOver(clock.instant())) {
      return Optional.of(() -> transitions.leaveCreated(task.key(), TaskStatus.COMPLETED));
    }
    if (!task.settings().hasStarted(clock.instant())) {
      return Optional.empty();
    }
    if (task.settings().evaluates()) {
      return Optional.of(() -> transitions.leaveCreated(task.key(), TaskStatus.OPEN));
    }
    if (!artifacts.serversAreThere(task.key())) {
      return Optional.empty();
    }
    return Optional.of(() -> {
      artifacts.makeClientCheckpoint(task.key(), 0, task.key(), 0);
      transitions.leaveCreated(task.key(), TaskStatus.OPEN);
    });
  }
}

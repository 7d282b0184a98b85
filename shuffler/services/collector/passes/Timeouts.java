package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments.Waiting;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Gives up on devices that have not reported, or not uploaded, in time; others get their places. */
public final class Timeouts {
  private static final int MOST = 1000;

  private final Assignments assignments;
  private final Transitions transitions;
  private final Presence presence;
  private final BlobLayout layout;
  private final CollectorSettings settings;
  private final Clock clock;

  public Timeouts(
      Assignments assignments,
      Transitions transitions,
      Presence presence,
      BlobLayout layout,
      CollectorSettings settings,
      Clock clock) {
    this.assignments = assignments;
    this.transitions = transitions;
    this.presence = presence;
    this.layout = layout;
    this.settings = settings;
    this.clock = clock;
  }

  void run(Iteration iteration) {
    end(iteration, AssignmentStatus.ASSIGNED, AssignmentStatus.LOCAL_TIMEOUT, settings.localComputeTimeout());
    end(iteration, AssignmentStatus.LOCAL_COMPLETED, AssignmentStatus.UPLOAD_TIMEOUT, settings.uploadTimeout());
  }

  private void end(Iteration iteration, AssignmentStatus from, AssignmentStatus to, Duration timeout) {
    IterationKey key = iteration.key();
    Instant last = clock.instant().minus(timeout);
    Optional<Waiting> position = Optional.empty();
    List<Waiting> waiting;
    do {
      waiting = assignments.waiting(key, from, position, MOST);
      List<Waiting> late = waiting.stream().filter(one -> !one.since().isAfter(last)).toList();
      // An upload that is there counts, though no pass has seen it yet.
      Set<Waiting> uploaded = from == AssignmentStatus.LOCAL_COMPLETED
          ? new HashSet<>(presence.of(late, one -> layout.upload(key.task(), iteration.settings().result(), one.session())))
          : Set.of();
      transitions.move(key, from, to, late.stream().filter(one -> !uploaded.contains(one)).map(Waiting::session).toList());
      if (late.size() < waiting.size()) {
        return;
      }
      position = late.isEmpty() ? position : Optional.of(late.get(late.size() - 1));
    } while (waiting.size() == MOST);
  }
}

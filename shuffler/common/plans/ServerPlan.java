package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.protobuf.InvalidProtocolBufferException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What the server does with the checkpoints of a task. There are two kinds of plans: the first does everything by operations of one graph
 * ({@link PhaseSession}); the second aggregates outside of TensorFlow, with a graph before and one after ({@link PhaseSessionV2}).
 *
 * @param message with one phase at least, which has a server's part
 */
public record ServerPlan(Plan message) {
  /**
   * Checks that there is something to run.
   *
   * @throws PlanException if there is not
   */
  public ServerPlan {
    if (message.getPhaseCount() == 0) {
      throw new PlanException("expected a plan with a phase, found none");
    }
    if (!message.getPhase(0).hasServerPhase() && !message.getPhase(0).hasServerPhaseV2()) {
      throw new PlanException("expected a plan whose first phase has server_phase or server_phase_v2, found neither");
    }
  }

  /**
   * Reads a serialized {@code google.internal.federated.plan.Plan}.
   *
   * @throws PlanException if it is none, or none for a server
   */
  public static ServerPlan parse(byte[] plan) {
    try {
      return new ServerPlan(Plan.parseFrom(plan));
    } catch (InvalidProtocolBufferException malformed) {
      throw new PlanException("expected a plan, found " + plan.length + " bytes that are none: " + malformed.getMessage(), malformed);
    }
  }

  /** Whether it is of the second kind. */
  public boolean isV2() {
    return message.getPhase(0).hasServerPhaseV2();
  }

  /**
   * The checkpoint that devices download.
   *
   * @param checkpoint the server's, from which the next round begins
   * @param folder where TensorFlow may leave files until this returns
   * @throws PlanException if the plan does not make one of it
   */
  public byte[] clientCheckpoint(byte[] checkpoint, Path folder) {
    if (isV2()) {
      return new PhaseSessionV2(this, folder).getClientCheckpoint(checkpoint).clientCheckpoint();
    }
    try (PhaseSession session = new PhaseSession(this, Optional.of(checkpoint), folder)) {
      return session.getClientCheckpoint();
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import com.google.fcp.aggregation.AggregationException;
import com.google.fcp.aggregation.AggregationSession;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PhaseSession;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PlanException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Plans of the first version: a graph of TensorFlow sums.
 *
 * <p>An operation that fails may have changed some of the sums: a contribution with tensors of wrong shapes would be counted and not
 * added. So each contribution is first tried in a second session, whose sums nobody reads.
 *
 * <p>A graph adds what it gets, and one number that is not finite would be the end of the sum. So a contribution is looked at before.
 */
public final class PlanAggregation implements Aggregation {
  private final PhaseSession session;
  private final PhaseSession trial;

  private PlanAggregation(PhaseSession session, PhaseSession trial) {
    this.session = session;
    this.trial = trial;
  }

  /**
   * Begins an aggregation by a plan of either version.
   *
   * @param folder where TensorFlow's files may be during a call
   * @throws IllegalArgumentException if the plan cannot be run
   */
  public static Aggregation begin(ServerPlan plan, Path folder) {
    if (plan.isV2()) {
      return new LibraryAggregation(plan.message().getPhase(0).getServerPhaseV2());
    }
    try {
      PhaseSession session = new PhaseSession(plan, Optional.empty(), folder);
      try {
        return new PlanAggregation(session, new PhaseSession(plan, Optional.empty(), folder));
      } catch (PlanException unusable) {
        session.close();
        throw unusable;
      }
    } catch (PlanException unusable) {
      throw new IllegalArgumentException("plan: " + unusable.getMessage(), unusable);
    }
  }

  @Override
  public void addContribution(byte[] checkpoint) throws RejectedException {
    try {
      AggregationSession.checkFinite(checkpoint);
      trial.accumulateClientUpdate(checkpoint);
    } catch (AggregationException | PlanException refused) {
      throw new RejectedException(refused.getMessage(), refused);
    }
    session.accumulateClientUpdate(checkpoint);
  }

  @Override
  public void addIntermediate(byte[] intermediate) throws RejectedException {
    try {
      trial.accumulateIntermediateUpdate(intermediate);
    } catch (PlanException refused) {
      throw new RejectedException(refused.getMessage(), refused);
    }
    session.accumulateIntermediateUpdate(intermediate);
  }

  @Override
  public byte[] toIntermediate() {
    return session.toIntermediateUpdate();
  }

  @Override
  public void close() {
    session.close();
    trial.close();
  }
}

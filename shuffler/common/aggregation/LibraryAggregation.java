package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import com.google.fcp.aggregation.AggregationException;
import com.google.fcp.aggregation.AggregationSession;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import java.util.List;

/** Plans of the second version: the aggregation library sums. */
public final class LibraryAggregation implements Aggregation {
  private final AggregationSession session;

  /**
   * Begins an aggregation.
   *
   * @throws IllegalArgumentException if the library does not have what the plan asks for
   */
  public LibraryAggregation(ServerPhaseV2 phase) {
    byte[] configuration = ServerAggregations.configuration(phase).toByteArray();
    try {
      session = AggregationSession.create(configuration);
    } catch (AggregationException refused) {
      throw new IllegalArgumentException("plan: " + refused.getMessage(), refused);
    }
  }

  @Override
  public void addContribution(byte[] checkpoint) throws RejectedException {
    try {
      session.accumulate(List.of(checkpoint));
    } catch (AggregationException refused) {
      throw new RejectedException(refused.getMessage(), refused);
    }
  }

  @Override
  public void addIntermediate(byte[] intermediate) throws RejectedException {
    try {
      session.mergeWith(List.of(intermediate));
    } catch (AggregationException refused) {
      throw new RejectedException(refused.getMessage(), refused);
    }
  }

  @Override
  public byte[] toIntermediate() {
    return session.serialize();
  }

  /** The aggregate as a checkpoint with the plan's output tensors; the aggregation is used up. */
  public byte[] toAggregate() {
    return session.report();
  }

  @Override
  public void close() {
    session.close();
  }
}

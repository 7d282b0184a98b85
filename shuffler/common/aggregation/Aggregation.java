package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

/**
 * Sums up what devices sent, by one plan. What is taken in counts wholly or, if it is refused, not at all.
 *
 * <p>Not thread-safe. The result depends on the order only as sums of floating-point numbers do.
 */
public interface Aggregation extends AutoCloseable {
  /**
   * Takes in the checkpoint of one device.
   *
   * @throws RejectedException if it is not what the plan asks for
   */
  void addContribution(byte[] checkpoint) throws RejectedException;

  /**
   * Takes in what {@link #toIntermediate} of the same plan gave.
   *
   * @throws RejectedException if it is something else
   */
  void addIntermediate(byte[] intermediate) throws RejectedException;

  /** What was taken in; the aggregation is used up. */
  byte[] toIntermediate();

  @Override
  void close();
}

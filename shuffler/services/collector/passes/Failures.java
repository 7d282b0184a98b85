package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Lock;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregationNotification;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.BatchStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Handles what the aggregator tells. A batch that it cannot add up fails, and its devices' places are free again. Sums are found where they
 * are written, so good news is passed over.
 */
public final class Failures implements MessageHandler {
  private static final Logger LOG = LoggerFactory.getLogger(Failures.class);
  private static final Duration LONGEST_WAIT = Duration.ofSeconds(30);

  private final Iterations iterations;
  private final Batches batches;
  private final Transitions transitions;
  private final Locks locks;

  public Failures(Iterations iterations, Batches batches, Transitions transitions, Locks locks) {
    this.iterations = iterations;
    this.batches = batches;
    this.transitions = transitions;
    this.locks = locks;
  }

  @Override
  public void handle(Message message) throws InterruptedException {
    AggregationNotification notification = AggregationNotification.of(message);
    if (notification.error().isEmpty()) {
      return;
    }
    Optional<RequestId> request = RequestId.parse(notification.requestId());
    if (request.isEmpty()) {
      LOG.warn("a notification of a request that is none of a collector; ignored");
      return;
    }
    // The lock of a pass: one that publishes this batch just now is to finish first.
    Optional<Lock> lock = locks.tryLock(Collector.lock(request.get().iteration()), LONGEST_WAIT);
    if (lock.isEmpty()) {
      throw new IllegalStateException("iteration " + request.get().iteration() + " is locked for " + LONGEST_WAIT.toSeconds()
          + " s; the notification is to come again");
    }
    try (Lock held = lock.get()) {
      fail(request.get(), notification.error().get());
    }
  }

  private void fail(RequestId request, AggregationNotification.ErrorReason reason) {
    Optional<BatchStatus> status = batches.status(request.iteration(), request.batch());
    if (status.equals(Optional.of(BatchStatus.PUBLISH_COMPLETED))) {
      transitions.fail(request.iteration(), request.batch(), reason.name());
    } else if (!status.equals(Optional.of(BatchStatus.FAILED))) {
      LOG.warn("iteration {}: batch {} is {}, so it does not fail: {}", request.iteration(), request.batch(),
          status.map(Enum::name).orElse("unknown"), reason);
      return;
    }
    // Also if it had failed before: then the last delivery may have ended here.
    iterations.find(request.iteration()).filter(Failures::goesOn)
        .ifPresent(iteration -> transitions.setBack(iteration, batches.contributions(iteration.key())));
  }

  /** What is applied does not need the batch. */
  private static boolean goesOn(Iteration iteration) {
    return iteration.status() == IterationStatus.COLLECTING || iteration.status() == IterationStatus.AGGREGATING;
  }
}

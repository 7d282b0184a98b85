package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.local;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One thread takes messages, a few handle them, and one extends their leases. */
final class QueueSubscription implements Subscription {
  private static final Logger LOG = LoggerFactory.getLogger(QueueSubscription.class);

  // An idle queue is asked now and then only; one that has messages at once.
  private static final Duration SHORTEST_WAIT = Duration.ofMillis(10);
  private static final Duration LONGEST_WAIT = Duration.ofMillis(250);
  private static final Duration WAIT_AFTER_FAILURE = Duration.ofSeconds(1);

  private final QueueMessages queue;
  private final String name;
  private final MessageHandler handler;
  private final QueueMessages.Times times;
  private final Semaphore free;
  private final ExecutorService handlers;
  private final ScheduledExecutorService extender;
  private final Thread taker;
  private final CountDownLatch closed = new CountDownLatch(1);

  /** Deliveries under way, and when they began. */
  private final Map<QueueMessages.Delivery, Long> held = new ConcurrentHashMap<>();

  QueueSubscription(QueueMessages queue, String name, int maxOutstanding, MessageHandler handler, QueueMessages.Times times) {
    this.queue = queue;
    this.name = name;
    this.handler = handler;
    this.times = times;
    this.free = new Semaphore(maxOutstanding);
    this.handlers = Executors.newFixedThreadPool(maxOutstanding, work -> new Thread(work, name + "-handler"));
    this.extender = Executors.newSingleThreadScheduledExecutor(work -> daemon(work, "-leases"));
    this.taker = daemon(this::takeAll, "-taker");
    long interval = times.lease().toMillis() / 3;
    extender.scheduleWithFixedDelay(this::extendAll, interval, interval, TimeUnit.MILLISECONDS);
    taker.start();
  }

  private Thread daemon(Runnable work, String role) {
    Thread thread = new Thread(work, name + role);
    thread.setDaemon(true);
    return thread;
  }

  private void takeAll() {
    Duration wait = SHORTEST_WAIT;
    try {
      while (!closed.await(wait.toMillis(), TimeUnit.MILLISECONDS)) {
        if (!free.tryAcquire(LONGEST_WAIT.toMillis(), TimeUnit.MILLISECONDS)) {
          continue;
        }
        if (closed.getCount() == 0) {
          // The permit is of a handler that close() waited for.
          return;
        }
        int most = 1 + free.drainPermits();
        int taken = 0;
        try {
          taken = take(most);
          wait = taken > 0 ? SHORTEST_WAIT : longer(wait);
        } catch (RuntimeException problem) {
          LOG.warn("{}: no messages: {}", name, problem.getMessage());
          wait = WAIT_AFTER_FAILURE;
        } finally {
          free.release(most - taken);
        }
      }
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
    }
  }

  private int take(int most) {
    for (long dead : queue.bury(name)) {
      LOG.error("{}: message {} is a dead letter after {} deliveries", name, dead, Messages.DELIVERIES);
    }
    int taken = 0;
    for (QueueMessages.Delivery delivery : queue.take(name, most)) {
      held.put(delivery, System.nanoTime());
      handlers.execute(() -> handle(delivery));
      taken++;
    }
    return taken;
  }

  private static Duration longer(Duration wait) {
    Duration twice = wait.multipliedBy(2);
    return twice.compareTo(LONGEST_WAIT) < 0 ? twice : LONGEST_WAIT;
  }

  private void handle(QueueMessages.Delivery delivery) {
    boolean handled = false;
    try {
      handler.handle(delivery.message());
      handled = true;
    } catch (Throwable problem) { // whatever it is, the message must not be lost
      LOG.warn("{}: message {}, delivery {}: {}", name, delivery.id(), delivery.number(), problem.toString());
    }
    end(delivery, handled);
  }

  private void end(QueueMessages.Delivery delivery, boolean handled) {
    // A handler that close() interrupted has not taken note of it perhaps; the connection would.
    Thread.interrupted();
    held.remove(delivery);
    try {
      if (handled) {
        queue.remove(delivery);
      } else {
        queue.giveBack(delivery);
      }
    } catch (RuntimeException problem) {
      LOG.warn("{}: message {} comes again when its lease ends: {}", name, delivery.id(), problem.toString());
    } finally {
      free.release();
    }
  }

  private void extendAll() {
    held.forEach((delivery, began) -> {
      try {
        if (System.nanoTime() - began < times.longestLease().toNanos()) {
          queue.extend(delivery);
        }
      } catch (RuntimeException problem) {
        LOG.warn("{}: lease of message {} is not extended: {}", name, delivery.id(), problem.toString());
      }
    });
  }

  @Override
  public void close() {
    closed.countDown();
    try {
      taker.join(times.close().toMillis());
      handlers.shutdown();
      if (!handlers.awaitTermination(times.close().toMillis(), TimeUnit.MILLISECONDS)) {
        LOG.warn("{}: {} messages are still being handled; they come again", name, held.size());
        handlers.shutdownNow();
      }
    } catch (InterruptedException stop) {
      handlers.shutdownNow();
      Thread.currentThread().interrupt();
    }
    extender.shutdownNow();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Asks something that may be slow or silent, and which those who ask for readiness must not be able to overload: at most one question at a
 * time is under way, an answer holds for a second, and nobody waits for longer than the bound. What is wrong goes to the log, once; the
 * answer says only that something is.
 */
public final class BoundedCheck implements ReadinessCheck, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(BoundedCheck.class);
  private static final Duration BOUND = Duration.ofSeconds(3);
  private static final Duration HOLDS = Duration.ofSeconds(1);

  /** A question. */
  @FunctionalInterface
  public interface Probe {
    /** Returns if the answer is good. */
    void run() throws Exception;
  }

  private final String name;
  private final Probe probe;
  private final Duration bound;
  private final ExecutorService thread;

  // Guarded by this.
  private Future<?> question;
  private long asked;
  private boolean wasGood = true;

  /**
   * Asks nothing yet.
   *
   * @param name of what is asked, such as {@code database}
   */
  public BoundedCheck(String name, Probe probe) {
    this(name, probe, BOUND);
  }

  BoundedCheck(String name, Probe probe, Duration bound) {
    this.name = name;
    this.probe = probe;
    this.bound = bound;
    this.thread = Executors.newSingleThreadExecutor(task -> {
      Thread daemon = new Thread(task, "check-" + name);
      daemon.setDaemon(true);
      return daemon;
    });
  }

  @Override
  public String check() throws NotReadyException {
    try {
      current().get(bound.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException problem) {
      String told = problem.getCause().getMessage();
      throw notReady("it does not answer as it should (see the log of the service)", told == null ? problem.getCause().toString() : told);
    } catch (TimeoutException slow) {
      String what = "no answer within " + bound.toMillis() + " ms";
      throw notReady(what, what);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new NotReadyException(name + ": the service ends");
    }
    synchronized (this) {
      wasGood = true;
    }
    return name + ": answers.";
  }

  private synchronized Future<?> current() {
    boolean old = question == null || question.isDone() && System.nanoTime() - asked > HOLDS.toNanos();
    if (old) {
      asked = System.nanoTime();
      question = thread.submit(() -> {
        probe.run();
        return null;
      });
    }
    return question;
  }

  private synchronized NotReadyException notReady(String what, String why) {
    if (wasGood) {
      LOG.warn("not ready: {}: {}", name, why);
    }
    wasGood = false;
    return new NotReadyException(name + ": " + what);
  }

  @Override
  public void close() {
    thread.shutdownNow();
  }
}

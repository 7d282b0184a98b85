package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Function;

/** Tells which of many blobs are there: many questions at a time, since each is a request over the network. */
public final class Presence implements AutoCloseable {
  private static final int THREADS = 16;

  private final Blobs blobs;
  private final ExecutorService threads = Executors.newFixedThreadPool(THREADS);

  public Presence(Blobs blobs) {
    this.blobs = blobs;
  }

  /** Those whose blob is there, in the given order. */
  <T> List<T> of(List<T> things, Function<T, BlobName> name) {
    List<Callable<Boolean>> questions = things.stream().<Callable<Boolean>>map(thing -> () -> blobs.exists(name.apply(thing))).toList();
    try {
      List<Future<Boolean>> answers = threads.invokeAll(questions);
      List<T> present = new ArrayList<>();
      for (int i = 0; i < answers.size(); i++) {
        if (answers.get(i).get()) {
          present.add(things.get(i));
        }
      }
      return present;
    } catch (ExecutionException problem) {
      if (problem.getCause() instanceof RuntimeException refused) {
        throw refused;
      }
      if (problem.getCause() instanceof Error error) {
        throw error;
      }
      throw new IllegalStateException(problem.getCause());
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while it looked for blobs", stop);
    }
  }

  @Override
  public void close() {
    threads.shutdownNow();
  }
}

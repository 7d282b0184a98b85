package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** Processes of a service that may crash: then they begin anew. */
public final class Processes<P extends AutoCloseable> implements AutoCloseable {
  /** What a process does. */
  @FunctionalInterface
  public interface Work<P> {
    void of(P process) throws Exception;
  }

  private final IntFunction<P> start;
  private final List<P> running = new ArrayList<>();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private int crashes;

  /**
   * Starts processes.
   *
   * @param start starts one of them, again if it has crashed
   */
  public Processes(int count, IntFunction<P> start) {
    this.start = start;
    IntStream.range(0, count).mapToObj(start).forEach(running::add);
  }

  /** A process as it runs by now. */
  public P get(int number) {
    return running.get(number);
  }

  /** How often one has crashed. */
  public int crashes() {
    return crashes;
  }

  /** What a process had in its memory is gone. */
  public void restart(int number) {
    close(running.get(number));
    running.set(number, start.apply(number));
  }

  /** Has some of them do something at the same time. */
  public void run(List<Integer> which, Work<P> work) {
    List<Callable<Void>> calls = which.stream().<Callable<Void>>map(number -> () -> {
      work.of(running.get(number));
      return null;
    }).toList();
    try {
      List<Future<Void>> ends = threads.invokeAll(calls);
      for (int i = 0; i < ends.size(); i++) {
        if (crashed(ends.get(i))) {
          crashes++;
          restart(which.get(i));
        }
      }
    } catch (InterruptedException stop) {
      throw new AssertionError(stop);
    }
  }

  /** Has all of them do something while somebody else does something, which does not crash; what that returns. */
  public <T> T runBeside(Callable<T> other, Work<P> work) {
    Future<T> result = threads.submit(other);
    run(IntStream.range(0, running.size()).boxed().toList(), work);
    try {
      return result.get();
    } catch (InterruptedException | ExecutionException problem) {
      throw new AssertionError(problem);
    }
  }

  private static boolean crashed(Future<?> end) throws InterruptedException {
    try {
      end.get();
      return false;
    } catch (ExecutionException problem) {
      if (problem.getCause() instanceof Crashes.Crash) {
        return true;
      }
      throw new AssertionError(problem.getCause());
    }
  }

  private static void close(AutoCloseable process) {
    try {
      process.close();
    } catch (Exception problem) {
      throw new AssertionError(problem);
    }
  }

  @Override
  public void close() {
    threads.shutdownNow();
    running.forEach(Processes::close);
  }
}

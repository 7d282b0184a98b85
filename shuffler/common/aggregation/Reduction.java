package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.function.Supplier;

/**
 * Sums many inputs in chunks, side by side: n inputs make chunks of ceil(sqrt(n)), whose sums are merged in the order of the inputs. So the
 * result does not depend on how many threads there are, and no more of the inputs are in memory than threads.
 */
public final class Reduction {
  /** Takes inputs in. */
  @FunctionalInterface
  public interface Input {
    /**
     * Fetches one input and gives it to an aggregation.
     *
     * @param index from 0 on
     * @return why the input is refused; nothing if it was taken in
     * @throws Exception if it cannot be said now; then there is no result
     */
    Optional<Refusal> add(int index, Aggregation to) throws Exception;
  }

  /**
   * An input that does not count.
   *
   * @param index its place among the inputs
   * @param kind what is wrong with it
   * @param reason for people
   */
  public record Refusal(int index, Kind kind, String reason) {
    /** What may be wrong with an input. */
    public enum Kind {
      MISSING,
      NOT_DECRYPTED,
      NOT_AGGREGATED
    }
  }

  /**
   * What came out.
   *
   * @param total of all that counts; the caller closes it
   * @param refusals in the order of the inputs
   */
  public record Result(Aggregation total, List<Refusal> refusals) {}

  /** The sum of one chunk. */
  private record Part(Optional<byte[]> intermediate, List<Refusal> refusals) {}

  private final ExecutorService threads;
  private final int window;

  /**
   * Uses threads.
   *
   * @param window most chunks that are summed or wait to be merged at a time
   */
  public Reduction(ExecutorService threads, int window) {
    this.threads = threads;
    this.window = window;
  }

  /**
   * Sums.
   *
   * @param count of the inputs
   * @param begin makes an aggregation that has taken in nothing
   * @throws Exception what an input throws, or an aggregation
   */
  public Result run(int count, Input input, Supplier<? extends Aggregation> begin) throws Exception {
    List<Refusal> refusals = new ArrayList<>();
    int size = (int) Math.ceil(Math.sqrt(count));
    Aggregation total = begin.get();
    boolean done = false;
    Deque<Future<Part>> running = new ArrayDeque<>();
    try {
      if (count <= size) {
        for (int i = 0; i < count; i++) {
          input.add(i, total).ifPresent(refusals::add);
        }
      } else {
        for (int start = 0; start < count; start += size) {
          if (running.size() == window) {
            merge(running.remove().get(), total, refusals);
          }
          running.add(threads.submit(chunk(start, Math.min(count, start + size), input, begin)));
        }
        while (!running.isEmpty()) {
          merge(running.remove().get(), total, refusals);
        }
      }
      done = true;
      return new Result(total, List.copyOf(refusals));
    } catch (ExecutionException failed) {
      if (failed.getCause() instanceof Exception cause) {
        throw cause;
      }
      throw failed;
    } finally {
      if (!done) {
        running.forEach(part -> part.cancel(true));
        total.close();
      }
    }
  }

  private static Callable<Part> chunk(int start, int end, Input input, Supplier<? extends Aggregation> begin) {
    return () -> {
      List<Refusal> refusals = new ArrayList<>();
      try (Aggregation sum = begin.get()) {
        for (int i = start; i < end; i++) {
          input.add(i, sum).ifPresent(refusals::add);
        }
        return new Part(refusals.size() < end - start ? Optional.of(sum.toIntermediate()) : Optional.empty(), refusals);
      }
    };
  }

  private static void merge(Part part, Aggregation total, List<Refusal> refusals) throws RejectedException {
    if (part.intermediate().isPresent()) {
      total.addIntermediate(part.intermediate().get());
    }
    refusals.addAll(part.refusals());
  }
}

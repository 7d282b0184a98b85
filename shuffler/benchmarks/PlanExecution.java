package com.google.ondevicepersonalization.federatedcompute.shuffler.benchmarks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Aggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.LibraryAggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.PlanAggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PhaseSession;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.PhaseSessionV2;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.ServerPlan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;

/**
 * How long the steps of aggregator and model updater take with plans of the task builder: opening sessions, taking in updates, making models.
 *
 * <p>The only argument is the folder that write_plans.py wrote.
 */
public final class PlanExecution {
  private static final int RUNS = 15;

  private PlanExecution() {}

  /** The files of one model. */
  private record Inputs(ServerPlan first, ServerPlan second, byte[] checkpoint, byte[] update) {
    static Inputs read(Path folder) throws IOException {
      return new Inputs(
          ServerPlan.parse(Files.readAllBytes(folder.resolve("plan_v1"))),
          ServerPlan.parse(Files.readAllBytes(folder.resolve("plan_v2"))),
          Files.readAllBytes(folder.resolve("checkpoint")),
          Files.readAllBytes(folder.resolve("update")));
    }
  }

  public static void main(String[] arguments) throws Exception {
    // Memory, as in the services.
    Path scratch = Files.createTempDirectory(Path.of("/dev/shm"), "plans");
    try {
      System.out.printf("%d processors; medians of %d, in ms%n", Runtime.getRuntime().availableProcessors(), RUNS);
      for (String model : List.of("small", "medium", "large")) {
        Inputs inputs = Inputs.read(Path.of(arguments[0], model));
        System.out.printf("%s model, update of %,d bytes%n", model, inputs.update().length);
        first(inputs, scratch);
        second(inputs, scratch);
      }
    } finally {
      Files.delete(scratch);
    }
  }

  private static void first(Inputs inputs, Path scratch) throws Exception {
    ServerPlan plan = inputs.first();
    report("V1: open a session", () -> time(() -> new PhaseSession(plan, Optional.empty(), scratch), PhaseSession::close));
    report(
        "V1: open a session with the model",
        () -> time(() -> new PhaseSession(plan, Optional.of(inputs.checkpoint()), scratch), PhaseSession::close));
    try (Aggregation aggregation = PlanAggregation.begin(plan, scratch)) {
      aggregation.addContribution(inputs.update());
      report("V1: take in an update", () -> time(() -> add(aggregation, inputs.update()), done -> {}));
      byte[] sum = aggregation.toIntermediate();
      report("V1: a sum, and the new model", () -> time(() -> update(plan, inputs, sum, scratch), done -> {}));
    }
  }

  private static byte[] update(ServerPlan plan, Inputs inputs, byte[] sum, Path scratch) {
    try (PhaseSession session = new PhaseSession(plan, Optional.of(inputs.checkpoint()), scratch)) {
      session.accumulateIntermediateUpdate(sum);
      session.applyAggregatedUpdates();
      session.getMetrics();
      session.getClientCheckpoint();
      return session.toCheckpoint();
    }
  }

  private static void second(Inputs inputs, Path scratch) throws Exception {
    ServerPlan plan = inputs.second();
    report("V2: open a session", () -> time(() -> PlanAggregation.begin(plan, scratch), Aggregation::close));
    byte[] sum;
    try (Aggregation aggregation = PlanAggregation.begin(plan, scratch)) {
      report("V2: take in an update", () -> time(() -> add(aggregation, inputs.update()), done -> {}));
      sum = aggregation.toIntermediate();
    }
    report("V2: a sum, and the new model", () -> time(() -> updateSecond(plan, inputs, sum, scratch), done -> {}));
  }

  private static byte[] updateSecond(ServerPlan plan, Inputs inputs, byte[] sum, Path scratch) throws Exception {
    try (LibraryAggregation aggregation = new LibraryAggregation(plan.message().getPhase(0).getServerPhaseV2())) {
      aggregation.addIntermediate(sum);
      PhaseSessionV2 session = new PhaseSessionV2(plan, scratch);
      PhaseSessionV2.Result result =
          session.getResult(aggregation.toAggregate(), session.getClientCheckpoint(inputs.checkpoint()).intermediateState());
      return session.getClientCheckpoint(result.serverState()).clientCheckpoint();
    }
  }

  private static Aggregation add(Aggregation aggregation, byte[] update) throws Exception {
    aggregation.addContribution(update);
    return aggregation;
  }

  /** Closes what was timed. */
  private interface Closing<T> {
    void close(T made) throws Exception;
  }

  private static <T> long time(Callable<T> action, Closing<T> closing) throws Exception {
    long start = System.nanoTime();
    T made = action.call();
    long took = System.nanoTime() - start;
    closing.close(made);
    return took;
  }

  private static void report(String name, Callable<Long> run) throws Exception {
    run.call();
    List<Long> times = new ArrayList<>();
    for (int i = 0; i < RUNS; i++) {
      times.add(run.call());
    }
    times.sort(null);
    System.out.printf("  %-36s%10.2f%n", name, times.get(RUNS / 2) / 1e6);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import com.google.internal.federated.plan.PlanProto.CheckpointOp;
import com.google.internal.federated.plan.PlanProto.Metric;
import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.internal.federated.plan.PlanProto.ServerPhase;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * One run of a plan of the first kind: its graph, which holds the server's state and the sums of the updates in variables.
 *
 * <p>All checkpoints are TensorFlow's V1 checkpoints. For one thread. After a PlanException the state of the variables is open: the session
 * can only be closed.
 */
public final class PhaseSession implements AutoCloseable {
  private final Plan plan;
  private final ServerPhase phase;
  private final Graph graph;
  private final Path folder;
  private boolean initialized;

  /**
   * Opens the graph.
   *
   * @param checkpoint the server's; a session that only accumulates needs none
   * @param folder where files may be during a call; nothing stays there
   * @throws PlanException if the plan is of the other kind, or does not take the checkpoint
   */
  public PhaseSession(ServerPlan plan, Optional<byte[]> checkpoint, Path folder) {
    if (plan.isV2()) {
      throw new PlanException("expected a plan with server_phase, found server_phase_v2");
    }
    this.plan = plan.message();
    this.phase = this.plan.getPhase(0).getServerPhase();
    this.folder = folder;
    this.graph = new Graph("server_graph_bytes", this.plan.getServerGraphBytes());
    try {
      checkpoint.ifPresent(content -> restore("server_savepoint", this.plan.getServerSavepoint(), content));
    } catch (RuntimeException | Error failure) {
      graph.close();
      throw failure;
    }
  }

  /** Adds the update of a device. */
  public void accumulateClientUpdate(byte[] update) {
    initialize();
    restore("read_update", phase.getReadUpdate(), update);
    run("aggregate_into_accumulators_op", phase.getAggregateIntoAccumulatorsOp());
  }

  /** Adds what {@link #toIntermediateUpdate} of another session returned. */
  public void accumulateIntermediateUpdate(byte[] update) {
    initialize();
    restore("read_intermediate_update", phase.getReadIntermediateUpdate(), update);
    run("intermediate_aggregate_into_accumulators_op", phase.getIntermediateAggregateIntoAccumulatorsOp());
  }

  /** The sums so far. */
  public byte[] toIntermediateUpdate() {
    return save("write_intermediate_update", phase.getWriteIntermediateUpdate());
  }

  /** Makes the next state of the server, of the state that the session began with and the sums. */
  public void applyAggregatedUpdates() {
    run("apply_aggregrated_updates_op", phase.getApplyAggregratedUpdatesOp());
  }

  /** The server's state. */
  public byte[] toCheckpoint() {
    return save("server_savepoint", plan.getServerSavepoint());
  }

  /** What devices download of the server's state. */
  public byte[] getClientCheckpoint() {
    return save("write_client_init", phase.getWriteClientInit());
  }

  /** The metrics of the plan and of its phase by their names: the first number of each. */
  public Map<String, Double> getMetrics() {
    List<Metric> metrics = Stream.concat(plan.getMetricsList().stream(), phase.getMetricsList().stream()).toList();
    if (metrics.isEmpty()) {
      return Map.of();
    }
    List<String> tensors = metrics.stream().map(Metric::getVariableName).distinct().toList();
    Map<String, Double> fetched = graph.fetch("metrics", Map.of(), tensors, List.of());
    Map<String, Double> named = new HashMap<>();
    metrics.forEach(metric -> named.put(metric.getStatName(), fetched.get(metric.getVariableName())));
    return named;
  }

  @Override
  public void close() {
    graph.close();
  }

  /** Sets the sums to zero, before the first update. */
  private void initialize() {
    if (!initialized) {
      graph.run("phase_init_op", phase.getPhaseInitOp(), Map.of());
      initialized = true;
    }
  }

  /** Runs an operation without which the step would silently do nothing. */
  private void run(String step, String operation) {
    if (operation.isEmpty()) {
      throw new PlanException("expected a plan that names " + step + ", found none");
    }
    graph.run(step, operation, Map.of());
  }

  private void restore(String step, CheckpointOp op, byte[] checkpoint) {
    try (ScratchFolder scratch = new ScratchFolder(folder)) {
      Path file = scratch.write("checkpoint", checkpoint);
      Map<String, byte[]> path = Graph.feed(op.getSaverDef().getFilenameTensorName(), file);
      graph.run(step + ".before_restore_op", op.getBeforeRestoreOp(), path);
      if (op.hasSaverDef()) {
        Graph.validate(step, file);
        graph.run(step + ".restore_op_name", op.getSaverDef().getRestoreOpName(), path);
      }
      graph.run(step + ".after_restore_op", op.getAfterRestoreOp(), Map.of());
    }
  }

  private byte[] save(String step, CheckpointOp op) {
    if (op.getSaverDef().getSaveTensorName().isEmpty()) {
      throw new PlanException("expected a plan whose " + step + " has a saver_def with a save_tensor_name, found none");
    }
    try (ScratchFolder scratch = new ScratchFolder(folder)) {
      Path file = scratch.file("checkpoint");
      graph.run(step + ".before_save_op", op.getBeforeSaveOp(), Map.of());
      graph.run(
          step + ".save_tensor_name", op.getSaverDef().getSaveTensorName(), Graph.feed(op.getSaverDef().getFilenameTensorName(), file));
      byte[] saved = scratch.read("checkpoint", step);
      graph.run(step + ".after_save_op", op.getAfterSaveOp(), Map.of());
      return saved;
    }
  }
}

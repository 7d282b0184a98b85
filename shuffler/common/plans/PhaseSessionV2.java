package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import com.google.internal.federated.plan.PlanProto.ServerPrepareIORouter;
import com.google.internal.federated.plan.PlanProto.ServerResultIORouter;
import com.google.internal.federated.plan.PlanProto.TensorflowSpec;
import com.google.protobuf.Any;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import tensorflow.Struct.TensorSpecProto;

/**
 * Runs a plan of the second kind: a graph that prepares what devices download, and one that makes the result of the aggregate.
 *
 * <p>All checkpoints are TensorFlow's V1 checkpoints. Every call opens its graph anew and closes it, so there is nothing to close here.
 */
public final class PhaseSessionV2 {
  private static final String PREPARE = "server_graph_prepare_bytes";
  private static final String RESULT = "server_graph_result_bytes";

  /**
   * What the first graph makes; both are empty if the plan has no such graph.
   *
   * @param clientCheckpoint what devices download
   * @param intermediateState what the second graph needs of it
   */
  public record Prepared(byte[] clientCheckpoint, byte[] intermediateState) {}

  /**
   * What the second graph makes.
   *
   * @param serverState the next one; the aggregate itself if the plan has no such graph
   * @param metrics by the names of their tensors, without the numbers of outputs
   */
  public record Result(byte[] serverState, Map<String, Double> metrics) {}

  private final Plan plan;
  private final ServerPhaseV2 phase;
  private final Path folder;

  /**
   * Takes a plan.
   *
   * @param folder where files may be during a call; nothing stays there
   * @throws PlanException if the plan is of the other kind
   */
  public PhaseSessionV2(ServerPlan plan, Path folder) {
    if (!plan.isV2()) {
      throw new PlanException("expected a plan with server_phase_v2, found server_phase");
    }
    this.plan = plan.message();
    this.phase = this.plan.getPhase(0).getServerPhaseV2();
    this.folder = folder;
  }

  /**
   * What devices download of the server's state.
   *
   * @throws PlanException if the plan does not make one of it
   */
  public Prepared getClientCheckpoint(byte[] serverState) {
    if (!plan.hasServerGraphPrepareBytes()) {
      return new Prepared(new byte[0], new byte[0]);
    }
    ServerPrepareIORouter router = phase.getPrepareRouter();
    try (ScratchFolder scratch = new ScratchFolder(folder)) {
      run(PREPARE, plan.getServerGraphPrepareBytes(), phase.getTensorflowSpecPrepare(), List.of(), List.of(
          Map.entry(router.getPrepareServerStateInputFilepathTensorName(), scratch.write("server_state", serverState)),
          Map.entry(router.getPrepareOutputFilepathTensorName(), scratch.file("client_checkpoint")),
          Map.entry(router.getPrepareIntermediateStateOutputFilepathTensorName(), scratch.file("intermediate_state"))));
      return new Prepared(scratch.read("client_checkpoint", PREPARE), scratch.read("intermediate_state", PREPARE));
    }
  }

  /**
   * The next state of the server.
   *
   * @param aggregate of the updates of devices
   * @param intermediateState of {@link Prepared}
   * @throws PlanException if the plan does not make one of them
   */
  public Result getResult(byte[] aggregate, byte[] intermediateState) {
    if (!plan.hasServerGraphResultBytes()) {
      return new Result(aggregate, Map.of());
    }
    ServerResultIORouter router = phase.getResultRouter();
    TensorflowSpec spec = phase.getTensorflowSpecResult();
    try (ScratchFolder scratch = new ScratchFolder(folder)) {
      List<String> outputs = spec.getOutputTensorSpecsList().stream().map(TensorSpecProto::getName).toList();
      Map<String, Double> fetched = run(RESULT, plan.getServerGraphResultBytes(), spec, outputs, List.of(
          Map.entry(router.getResultIntermediateStateInputFilepathTensorName(), scratch.write("intermediate_state", intermediateState)),
          Map.entry(router.getResultAggregateResultInputFilepathTensorName(), scratch.write("aggregate", aggregate)),
          Map.entry(router.getResultServerStateOutputFilepathTensorName(), scratch.file("server_state"))));
      Map<String, Double> metrics = new HashMap<>();
      fetched.forEach((tensor, number) -> metrics.put(tensor.replaceFirst(":[0-9]+$", ""), number));
      return new Result(scratch.read("server_state", RESULT), metrics);
    }
  }

  /** Runs a graph with the paths of files in the tensors that its router names. */
  private static Map<String, Double> run(
      String step, Any packed, TensorflowSpec spec, List<String> outputs, List<Map.Entry<String, Path>> files) {
    List<String> routed = files.stream().map(Map.Entry::getKey).sorted().toList();
    List<String> inputs = spec.getInputTensorSpecsList().stream().map(TensorSpecProto::getName).sorted().toList();
    if (!inputs.equals(routed) || new HashSet<>(routed).size() < routed.size() || routed.contains("")) {
      throw new PlanException(
          step + ": expected a TensorflowSpec with the inputs that its router names, found " + inputs + " and " + routed);
    }
    if (spec.getTargetNodeNamesCount() == 0) {
      throw new PlanException(step + ": expected a TensorflowSpec with target_node_names, found none");
    }
    Map<String, byte[]> feeds = new HashMap<>();
    spec.getConstantInputsMap().forEach((tensor, value) -> feeds.put(tensor, value.toByteArray()));
    files.forEach(file -> feeds.put(file.getKey(), Graph.path(file.getValue())));
    try (Graph graph = new Graph(step, packed)) {
      return graph.fetch(step, feeds, outputs, spec.getTargetNodeNamesList());
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.fcp.tensorflow.TensorflowException;
import com.google.internal.federated.plan.PlanProto.CheckpointOp;
import com.google.internal.federated.plan.PlanProto.Metric;
import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.internal.federated.plan.PlanProto.ServerPhase;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.testing.TestPlans;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.framework.DataType;
import org.tensorflow.framework.TensorProto;

/** Plans of both kinds, run by TensorFlow. */
class PlansTest {
  private static final ServerPlan V1 = new ServerPlan(TestPlans.v1());
  private static final ServerPlan V2 = new ServerPlan(TestPlans.v2());

  @TempDir Path folder;

  @AfterEach
  void nothingIsLeft() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).isEmpty();
    }
  }

  private static byte[] checkpoint(String name, float... values) {
    return TestPlans.checkpoint(new TreeMap<>(Map.of(name, values)));
  }

  private static void fails(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(PlanException.class)
        .hasMessageContaining(message)
        .satisfies(problem -> assertThat(problem.getMessage()).doesNotContain("\n"));
  }

  private PhaseSession session(ServerPlan plan) {
    return new PhaseSession(plan, Optional.of(checkpoint("server/w", 1, 2)), folder);
  }

  private static ServerPlan v1(Consumer<Plan.Builder> change) {
    Plan.Builder plan = TestPlans.v1().toBuilder();
    change.accept(plan);
    return new ServerPlan(plan.build());
  }

  private static ServerPlan v2(Consumer<Plan.Builder> change) {
    Plan.Builder plan = TestPlans.v2().toBuilder();
    change.accept(plan);
    return new ServerPlan(plan.build());
  }

  @Test
  void aRoundOfTheFirstKind() {
    byte[] intermediate;
    try (PhaseSession first = new PhaseSession(V1, Optional.empty(), folder)) {
      first.accumulateClientUpdate(checkpoint("update/w", 1, 10));
      first.accumulateClientUpdate(checkpoint("update/w", 2, 20));
      intermediate = first.toIntermediateUpdate();
      assertThat(TestPlans.read(intermediate, "intermediate_update/w")).containsExactly(3, 30);
      assertThat(TestPlans.read(intermediate, "intermediate_update/count")).containsExactly(2);
    }
    try (PhaseSession second = session(V1)) {
      assertThat(TestPlans.read(second.getClientCheckpoint(), "client/w")).containsExactly(1, 2);
      second.accumulateIntermediateUpdate(intermediate);
      second.accumulateClientUpdate(checkpoint("update/w", 6, 0));
      second.accumulateIntermediateUpdate(intermediate);
      second.applyAggregatedUpdates();
      // (3 + 6 + 3) / 5 and (30 + 0 + 30) / 5
      assertThat(TestPlans.read(second.toCheckpoint(), "server/w")).containsExactly(1 + 12 / 5f, 2 + 12);
      assertThat(TestPlans.read(second.getClientCheckpoint(), "client/w")).containsExactly(1 + 12 / 5f, 2 + 12);
      assertThat(second.getMetrics()).isEqualTo(Map.of("num_updates", 5.0));
    }
  }

  @Test
  void aRoundOfTheSecondKind() {
    PhaseSessionV2 session = new PhaseSessionV2(V2, folder);
    PhaseSessionV2.Prepared prepared = session.getClientCheckpoint(checkpoint("server/w", 1, 2));
    assertThat(TestPlans.read(prepared.clientCheckpoint(), "client/w")).containsExactly(1, 2);
    byte[] aggregate = TestPlans.checkpoint(
        new TreeMap<>(Map.of("aggregate/w", new float[] {6, 60}, "aggregate/count", new float[] {4})));
    PhaseSessionV2.Result result = session.getResult(aggregate, prepared.intermediateState());
    assertThat(TestPlans.read(result.serverState(), "server/w")).containsExactly(2.5f, 17);
    assertThat(result.metrics()).isEqualTo(Map.of("num_updates", 4.0));
  }

  @Test
  void bothKindsMakeClientCheckpoints() {
    for (Plan plan : new Plan[] {TestPlans.v1(), TestPlans.v2()}) {
      byte[] made = ServerPlan.parse(plan.toByteArray()).clientCheckpoint(checkpoint("server/w", 3, 4), folder);
      assertThat(TestPlans.read(made, "client/w")).containsExactly(3, 4);
    }
  }

  @Test
  void theSecondKindMayHaveNoGraphs() {
    PhaseSessionV2 session = new PhaseSessionV2(v2(plan -> plan.clearServerGraphPrepareBytes().clearServerGraphResultBytes()), folder);
    PhaseSessionV2.Prepared prepared = session.getClientCheckpoint(new byte[] {1});
    assertThat(prepared.clientCheckpoint()).isEmpty();
    assertThat(prepared.intermediateState()).isEmpty();
    PhaseSessionV2.Result result = session.getResult(new byte[] {2}, new byte[0]);
    assertThat(result.serverState()).containsExactly(2);
    assertThat(result.metrics()).isEmpty();
  }

  @Test
  void whatIsNoPlanIsRefused() {
    fails("bytes that are none", () -> ServerPlan.parse(new byte[] {1, 2, 3}));
    fails("a plan with a phase, found none", () -> ServerPlan.parse(new byte[0]));
    fails("server_phase or server_phase_v2, found neither", () -> v1(plan -> plan.clearPhase().addPhaseBuilder()));
    fails("expected a plan with server_phase, found server_phase_v2", () -> session(V2));
    fails("expected a plan with server_phase_v2, found server_phase", () -> new PhaseSessionV2(V1, folder));
  }

  @Test
  void whatIsNoGraphIsRefused() {
    fails("server_graph_bytes: expected a tensorflow.GraphDef, found nothing", () -> session(v1(Plan.Builder::clearServerGraphBytes)));
    fails("found 'type.googleapis.com/x?y'", () -> session(v1(plan -> plan.setServerGraphBytes(
        Any.newBuilder().setTypeUrl("type.googleapis.com/x\ty")))));
    fails("server_graph_bytes: ", () -> session(v1(plan -> plan.getServerGraphBytesBuilder().setValue(ByteString.copyFromUtf8("x")))));
  }

  static Stream<byte[]> badCheckpoints() {
    byte[] good = checkpoint("server/w", 1, 2);
    byte[] damaged = good.clone();
    damaged[20] ^= 1;
    return Stream.of(
        new byte[0], new byte[] {1}, damaged, Arrays.copyOf(good, good.length - 1), checkpoint("other", 1, 2), checkpoint("server/w", 1));
  }

  @ParameterizedTest
  @MethodSource("badCheckpoints")
  void whatIsNoCheckpointOfThePlanIsRefused(byte[] bad) {
    fails("server_savepoint", () -> V1.clientCheckpoint(bad, folder));
    try (PhaseSession session = session(V1)) {
      fails("read_update", () -> session.accumulateClientUpdate(bad));
      fails("read_intermediate_update", () -> session.accumulateIntermediateUpdate(bad));
    }
  }

  @Test
  void failuresOfTensorflowAreTheCause() {
    assertThatThrownBy(() -> V1.clientCheckpoint(new byte[0], folder)).hasCauseInstanceOf(TensorflowException.class);
    PhaseSessionV2 session = new PhaseSessionV2(V2, folder);
    fails("server_graph_prepare_bytes: ", () -> session.getClientCheckpoint(checkpoint("other", 1)));
    fails("server_graph_result_bytes: ", () -> session.getResult(checkpoint("aggregate/w", 1), checkpoint("intermediate/w", 1)));
    // Checkpoints that end in the middle, or that none of the operations expects.
    fails("server_graph_prepare_bytes: ", () -> session.getClientCheckpoint(new byte[] {1, 2, 3}));
  }

  @Test
  void whatThePlanDoesNotNameIsMissed() {
    ServerPlan empty = v1(plan -> plan.getPhaseBuilder(0).setServerPhase(ServerPhase.getDefaultInstance()));
    try (PhaseSession session = session(empty)) {
      fails("names aggregate_into_accumulators_op, found none", () -> session.accumulateClientUpdate(new byte[0]));
      fails("names intermediate_aggregate_into_accumulators_op", () -> session.accumulateIntermediateUpdate(new byte[0]));
      fails("names apply_aggregrated_updates_op", session::applyAggregatedUpdates);
      fails("write_client_init has a saver_def with a save_tensor_name", session::getClientCheckpoint);
      fails("write_intermediate_update has a saver_def", session::toIntermediateUpdate);
    }
    try (PhaseSession session = session(v1(Plan.Builder::clearMetrics))) {
      assertThat(session.getMetrics()).isEmpty();
    }
  }

  @Test
  void whatTheGraphDoesNotHaveIsNamed() {
    fails("server_savepoint.before_restore_op: the graph has no operation \"absent\"", () -> session(
        v1(plan -> plan.getServerSavepointBuilder().setBeforeRestoreOp("absent"))));
    try (PhaseSession session = session(v1(plan -> plan
        .addMetrics(Metric.newBuilder().setVariableName("absent").setStatName("x"))
        .getPhaseBuilder(0).getServerPhaseBuilder()
        .setWriteClientInit(CheckpointOp.newBuilder(plan.getServerSavepoint()).setBeforeSaveOp("gone"))
        .getWriteIntermediateUpdateBuilder().getSaverDefBuilder().setSaveTensorName("phase_init")))) {
      fails("metrics: the graph has no operation for tensor \"absent\"", session::getMetrics);
      fails("write_client_init.before_save_op: the graph has no operation \"gone\"", session::getClientCheckpoint);
      fails("write_intermediate_update: expected that it writes a V1 checkpoint", session::toIntermediateUpdate);
    }
    // Sums are only there after the first update.
    try (PhaseSession session = session(V1)) {
      fails("apply_aggregrated_updates_op", session::applyAggregatedUpdates);
    }
  }

  @Test
  void routersAndSpecificationsOfTheSecondKindMustAgree() {
    byte[] state = checkpoint("server/w", 1, 2);
    fails("target_node_names, found none", () -> new PhaseSessionV2(
        v2(plan -> plan.getPhaseBuilder(0).getServerPhaseV2Builder().getTensorflowSpecPrepareBuilder().clearTargetNodeNames()), folder)
        .getClientCheckpoint(state));
    fails("a TensorflowSpec with the inputs that its router names", () -> new PhaseSessionV2(
        v2(plan -> plan.getPhaseBuilder(0).getServerPhaseV2Builder().getTensorflowSpecPrepareBuilder().removeInputTensorSpecs(0)), folder)
        .getClientCheckpoint(state));
    fails("a TensorflowSpec with the inputs that its router names", () -> new PhaseSessionV2(
        v2(plan -> plan.getPhaseBuilder(0).getServerPhaseV2Builder().clearPrepareRouter()), folder).getClientCheckpoint(state));
    fails("a TensorflowSpec with the inputs that its router names", () -> new PhaseSessionV2(
        v2(plan -> plan.getPhaseBuilder(0).getServerPhaseV2Builder().clearResultRouter()), folder).getResult(state, state));
    ServerPlan writesOneFile = v2(plan ->
        plan.getPhaseBuilder(0).getServerPhaseV2Builder().getTensorflowSpecPrepareBuilder().setTargetNodeNames(1, "save_client"));
    fails("expected that it writes a V1 checkpoint", () -> new PhaseSessionV2(writesOneFile, folder).getClientCheckpoint(state));
  }

  @Test
  void damagedPlansNeverCrash() {
    Random random = new Random(1);
    byte[] state = checkpoint("server/w", 1, 2);
    for (byte[] good : new byte[][] {TestPlans.v1().toByteArray(), TestPlans.v2().toByteArray()}) {
      for (int i = 0; i < 100; i++) {
        byte[] damaged = good.clone();
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
        try {
          ServerPlan.parse(damaged).clientCheckpoint(state, folder);
        } catch (PlanException expected) {
          assertThat(expected.getMessage()).isNotEmpty();
        }
      }
    }
  }

  @Test
  void aClosedSessionSaysSo() {
    PhaseSession session = session(V1);
    session.close();
    session.close();
    fails("closed", session::toCheckpoint);
  }

  @Test
  void metricsAreTheFirstNumber() {
    assertThat(Numbers.first(TensorProto.newBuilder().setDtype(DataType.DT_FLOAT).addFloatVal(1.5f).addFloatVal(2).build())).isEqualTo(1.5);
    assertThat(Numbers.first(TensorProto.newBuilder().setDtype(DataType.DT_DOUBLE).addDoubleVal(0.1).build())).isEqualTo(0.1);
    assertThat(Numbers.first(TensorProto.newBuilder().setDtype(DataType.DT_INT32).addIntVal(-7).build())).isEqualTo(-7);
    assertThat(Numbers.first(TensorProto.newBuilder().setDtype(DataType.DT_INT64).addInt64Val(1L << 40).build())).isEqualTo(0x1p40);
    assertThat(Numbers.first(TensorProto.newBuilder().setDtype(DataType.DT_BOOL).addBoolVal(true).build())).isEqualTo(1);
    assertThat(Numbers.first(packed(DataType.DT_FLOAT, 0, 0, -128, 63))).isEqualTo(1);
    assertThat(Numbers.first(packed(DataType.DT_DOUBLE, 0, 0, 0, 0, 0, 0, -16, 63))).isEqualTo(1);
    assertThat(Numbers.first(packed(DataType.DT_INT32, -1, -1, -1, -1))).isEqualTo(-1);
    assertThat(Numbers.first(packed(DataType.DT_INT64, 2, 0, 0, 0, 0, 0, 0, 0, 9))).isEqualTo(2);
    assertThat(Numbers.first(packed(DataType.DT_BOOL, 1))).isEqualTo(1);
    for (DataType type : new DataType[] {DataType.DT_FLOAT, DataType.DT_INT64, DataType.DT_BOOL, DataType.DT_STRING}) {
      assertThat(Numbers.first(TensorProto.newBuilder().setDtype(type).build())).isZero();
    }
  }

  private static TensorProto packed(DataType type, int... bytes) {
    byte[] content = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      content[i] = (byte) bytes[i];
    }
    return TensorProto.newBuilder().setDtype(type).setTensorContent(ByteString.copyFrom(content)).build();
  }
}

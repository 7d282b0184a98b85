package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans.testing;

import static com.google.fcp.testing.Messages.FLOAT;
import static com.google.fcp.testing.Messages.INT32;
import static com.google.fcp.testing.Messages.STRING;
import static com.google.fcp.testing.Messages.attribute;
import static com.google.fcp.testing.Messages.concat;
import static com.google.fcp.testing.Messages.field;
import static com.google.fcp.testing.Messages.node;
import static com.google.fcp.testing.Messages.placeholder;
import static com.google.fcp.testing.Messages.restoreGraph;
import static com.google.fcp.testing.Messages.string;
import static com.google.fcp.testing.Messages.strings;
import static com.google.fcp.testing.Messages.type;
import static com.google.fcp.testing.Messages.types;
import static com.google.fcp.testing.Messages.vector;

import com.google.fcp.tensorflow.TensorflowSession;
import com.google.internal.federated.plan.PlanProto.CheckpointOp;
import com.google.internal.federated.plan.PlanProto.Metric;
import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.internal.federated.plan.PlanProto.ServerAggregationConfig;
import com.google.internal.federated.plan.PlanProto.ServerPhase;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import com.google.internal.federated.plan.PlanProto.ServerPrepareIORouter;
import com.google.internal.federated.plan.PlanProto.ServerResultIORouter;
import com.google.internal.federated.plan.PlanProto.TensorflowSpec;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.tensorflow.framework.DataType;
import org.tensorflow.framework.TensorProto;
import org.tensorflow.framework.TensorShapeProto;
import org.tensorflow.util.SaverDef;
import tensorflow.Struct.TensorSpecProto;

/**
 * Small plans that TensorFlow really runs, of both kinds, and their checkpoints.
 *
 * <p>The model is {@code server/w}, a vector of two floats, which devices download as {@code client/w}. They upload {@code update/w}, and
 * plans of the second kind want {@code update/count} beside it, a vector of one 1. A round adds the mean of the updates to the model; the
 * metric {@code num_updates} is their number. Intermediate updates of the first kind are {@code intermediate_update/w} and
 * {@code .../count}, the aggregate of the second kind is {@code aggregate/w} and {@code aggregate/count}.
 */
public final class TestPlans {
  /** Elements of the model. */
  private static final int SIZE = 2;

  private TestPlans() {}

  /** A plan of the first kind. */
  public static Plan v1() {
    return v1("mean");
  }

  /** A plan of the first kind that adds noise to the mean, other noise each time. */
  public static Plan noisyV1() {
    return v1("noisy");
  }

  private static Plan v1(String step) {
    byte[] graph = concat(
        variable("w", SIZE),
        variable("sum", SIZE),
        variable("count", 1),
        variable("update", SIZE),
        variable("other_sum", SIZE),
        variable("other_count", 1),
        constant("one", vector(1)),
        assign("initialize/w", "AssignVariableOp", "w", constant("initialize/w/zero", vector(0, 0)), "initialize/w/zero"),
        group("initialize", "initialize/w"),
        assign("phase_init/sum", "AssignVariableOp", "sum", constant("phase_init/sum/zero", vector(0, 0)), "phase_init/sum/zero"),
        assign("phase_init/count", "AssignVariableOp", "count", constant("phase_init/count/zero", vector(0)), "phase_init/count/zero"),
        group("phase_init", "phase_init/sum", "phase_init/count"),
        savepoint("server_savepoint", Map.of("w", "server/w")),
        savepoint("client_savepoint", Map.of("w", "client/w")),
        savepoint("update_savepoint", Map.of("update", "update/w")),
        savepoint("sum_savepoint", Map.of("sum", "intermediate_update/w", "count", "intermediate_update/count")),
        savepoint("other_savepoint", Map.of("other_sum", "intermediate_update/w", "other_count", "intermediate_update/count")),
        assign("aggregate/sum", "AssignAddVariableOp", "sum", new byte[0], "update/read"),
        assign("aggregate/count", "AssignAddVariableOp", "count", new byte[0], "one"),
        group("aggregate", "aggregate/sum", "aggregate/count"),
        assign("merge/sum", "AssignAddVariableOp", "sum", new byte[0], "other_sum/read"),
        assign("merge/count", "AssignAddVariableOp", "count", new byte[0], "other_count/read"),
        group("merge", "merge/sum", "merge/count"),
        node("mean", "RealDiv", "sum/read,count/read", attribute("T", type(FLOAT))),
        noisy("mean"),
        assign("apply/w", "AssignAddVariableOp", "w", new byte[0], step),
        group("apply", "apply/w"),
        group("after"));
    return Plan.newBuilder()
        .setVersion(1)
        .setServerGraphBytes(pack(graph))
        .setServerSavepoint(checkpointOp("server_savepoint").setBeforeRestoreOp("initialize").setAfterRestoreOp("after"))
        .addMetrics(Metric.newBuilder().setVariableName("count/read:0").setStatName("num_updates"))
        .addPhase(Plan.Phase.newBuilder().setServerPhase(ServerPhase.newBuilder()
            .setPhaseInitOp("phase_init")
            .setWriteClientInit(checkpointOp("client_savepoint").setAfterSaveOp("after"))
            .setReadUpdate(checkpointOp("update_savepoint"))
            .setAggregateIntoAccumulatorsOp("aggregate")
            .setWriteIntermediateUpdate(checkpointOp("sum_savepoint"))
            .setReadIntermediateUpdate(checkpointOp("other_savepoint"))
            .setIntermediateAggregateIntoAccumulatorsOp("merge")
            .setApplyAggregratedUpdatesOp("apply")))
        .build();
  }

  /** A plan of the second kind. */
  public static Plan v2() {
    return v2("step");
  }

  /** A plan of the second kind that adds noise to the mean, other noise each time. */
  public static Plan noisyV2() {
    return v2("noisy");
  }

  private static Plan v2(String step) {
    byte[] prepare = concat(
        placeholder("state_path", STRING),
        placeholder("client_path", STRING),
        placeholder("intermediate_path", STRING),
        restore("w", "state_path", "server/w"),
        save("save_client", "client_path", "client/w", "w"),
        save("save_intermediate", "intermediate_path", "intermediate/w", "w"));
    byte[] result = concat(
        placeholder("intermediate_path", STRING),
        placeholder("aggregate_path", STRING),
        placeholder("state_path", STRING),
        placeholder("scale", FLOAT),
        restore("w", "intermediate_path", "intermediate/w"),
        restore("sum", "aggregate_path", "aggregate/w"),
        restore("num_updates", "aggregate_path", "aggregate/count"),
        node("mean", "RealDiv", "sum,num_updates", attribute("T", type(FLOAT))),
        node("step", "Mul", "mean,scale", attribute("T", type(FLOAT))),
        noisy("step"),
        node("new_w", "AddV2", "w," + step, attribute("T", type(FLOAT))),
        save("save_state", "state_path", "server/w", "new_w"));
    return Plan.newBuilder()
        .setVersion(1)
        .setServerGraphPrepareBytes(pack(prepare))
        .setServerGraphResultBytes(pack(result))
        .addPhase(Plan.Phase.newBuilder().setServerPhaseV2(ServerPhaseV2.newBuilder()
            .addAggregations(sum("w", SIZE))
            .addAggregations(sum("count", 1))
            .setTensorflowSpecPrepare(TensorflowSpec.newBuilder()
                .addInputTensorSpecs(path("state_path:0"))
                .addInputTensorSpecs(path("client_path:0"))
                .addInputTensorSpecs(path("intermediate_path:0"))
                .addTargetNodeNames("save_client")
                .addTargetNodeNames("save_intermediate"))
            .setPrepareRouter(ServerPrepareIORouter.newBuilder()
                .setPrepareServerStateInputFilepathTensorName("state_path:0")
                .setPrepareOutputFilepathTensorName("client_path:0")
                .setPrepareIntermediateStateOutputFilepathTensorName("intermediate_path:0"))
            .setTensorflowSpecResult(TensorflowSpec.newBuilder()
                .addInputTensorSpecs(path("intermediate_path:0"))
                .addInputTensorSpecs(path("aggregate_path:0"))
                .addInputTensorSpecs(path("state_path:0"))
                .addOutputTensorSpecs(TensorSpecProto.newBuilder().setName("num_updates:0").setDtype(DataType.DT_FLOAT))
                .putConstantInputs("scale:0", tensor(vector(1)))
                .addTargetNodeNames("save_state"))
            .setResultRouter(ServerResultIORouter.newBuilder()
                .setResultIntermediateStateInputFilepathTensorName("intermediate_path:0")
                .setResultAggregateResultInputFilepathTensorName("aggregate_path:0")
                .setResultServerStateOutputFilepathTensorName("state_path:0"))))
        .build();
  }

  /** A V1 checkpoint of vectors, written by TensorFlow. */
  public static byte[] checkpoint(SortedMap<String, float[]> vectors) {
    byte[] graph = concat(placeholder("file", STRING), placeholder("names", STRING));
    Map<String, byte[]> feeds = new HashMap<>();
    StringBuilder inputs = new StringBuilder("file,names");
    for (float[] values : vectors.values()) {
      String name = "x" + feeds.size();
      graph = concat(graph, placeholder(name, FLOAT));
      inputs.append(',').append(name);
      feeds.put(name, vector(values));
    }
    feeds.put("names", strings(vectors.keySet().toArray(new String[0])));
    byte[] saving = concat(graph, node("save", "Save", inputs.toString(), attribute("T", floats(vectors.size()))));
    return withFile(new byte[0], file -> {
      feeds.put("file", string(file.toString()));
      try (TensorflowSession session = TensorflowSession.create(saving)) {
        session.run(feeds, List.of(), List.of("save"));
      }
      return Files.readAllBytes(file);
    });
  }

  /** A vector of a checkpoint, read by TensorFlow. */
  public static float[] read(byte[] checkpoint, String name) {
    return withFile(checkpoint, file -> {
      try (TensorflowSession session = TensorflowSession.create(restoreGraph())) {
        Map<String, byte[]> feeds = Map.of("file", string(file.toString()), "name", string(name));
        TensorProto tensor = tensor(session.run(feeds, List.of("restore"), List.of()).get(0));
        FloatBuffer content = tensor.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        float[] values = new float[content.remaining()];
        content.get(values);
        return values;
      }
    });
  }

  /** A GraphDef as plans have it. */
  public static Any pack(byte[] graphDef) {
    return Any.newBuilder().setTypeUrl("type.googleapis.com/tensorflow.GraphDef").setValue(ByteString.copyFrom(graphDef)).build();
  }

  private interface FileUser<T> {
    T use(Path file) throws IOException;
  }

  private static <T> T withFile(byte[] content, FileUser<T> user) {
    try {
      Path folder = Files.createTempDirectory("checkpoint");
      Path file = Files.write(folder.resolve("checkpoint"), content);
      try {
        return user.use(file);
      } finally {
        Files.delete(file);
        Files.delete(folder);
      }
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
  }

  private static TensorProto tensor(byte[] serialized) {
    try {
      return TensorProto.parseFrom(serialized);
    } catch (InvalidProtocolBufferException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private static TensorSpecProto path(String name) {
    return TensorSpecProto.newBuilder()
        .setName(name)
        .setShape(TensorShapeProto.getDefaultInstance())
        .setDtype(DataType.DT_STRING)
        .build();
  }

  private static ServerAggregationConfig sum(String name, int size) {
    TensorSpecProto.Builder spec = TensorSpecProto.newBuilder()
        .setShape(TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dim.newBuilder().setSize(size)))
        .setDtype(DataType.DT_FLOAT);
    return ServerAggregationConfig.newBuilder()
        .setIntrinsicUri("federated_sum")
        .addIntrinsicArgs(
            ServerAggregationConfig.IntrinsicArg.newBuilder().setInputTensor(spec.clone().setName("update/" + name)))
        .addOutputTensors(spec.clone().setName("aggregate/" + name))
        .build();
  }

  private static CheckpointOp.Builder checkpointOp(String name) {
    return CheckpointOp.newBuilder().setSaverDef(SaverDef.newBuilder()
        .setFilenameTensorName(name + "/Const:0")
        .setSaveTensorName(name + "/control_dependency:0")
        .setRestoreOpName(name + "/restore_all")
        .setVersion(SaverDef.CheckpointFormatVersion.V1));
  }

  /** What tf.compat.v1.train.Saver makes, of variables and their names in the checkpoint. */
  private static byte[] savepoint(String name, Map<String, String> names) {
    List<String> variables = names.keySet().stream().sorted().toList();
    byte[] graph = constant(name + "/Const", string("model"));
    for (String variable : variables) {
      String restored = name + "/restore/" + variable;
      graph = concat(
          graph,
          restore(restored, name + "/Const", names.get(variable)),
          assign(name + "/assign/" + variable, "AssignVariableOp", variable, new byte[0], restored));
    }
    return concat(
        graph,
        group(name + "/restore_all", variables.stream().map(variable -> name + "/assign/" + variable).toArray(String[]::new)),
        constant(name + "/names", strings(variables.stream().map(names::get).toArray(String[]::new))),
        node(
            name + "/save",
            "Save",
            name + "/Const," + name + "/names," + String.join(",", variables.stream().map(variable -> variable + "/read").toList()),
            attribute("T", floats(variables.size()))),
        node(name + "/control_dependency", "Identity", name + "/Const,^" + name + "/save", attribute("T", type(STRING))));
  }

  private static byte[] floats(int count) {
    return types(Collections.nCopies(count, FLOAT).stream().mapToInt(Integer::intValue).toArray());
  }

  private static byte[] variable(String name, int size) {
    byte[] shape = field(7, field(2, field(1, size)));
    return concat(
        // Without a shared name all variables would be one.
        node(
            name,
            "VarHandleOp",
            "",
            attribute("dtype", type(FLOAT)),
            attribute("shape", shape),
            attribute("shared_name", field(2, name))),
        node(name + "/read", "ReadVariableOp", name, attribute("dtype", type(FLOAT))));
  }

  /** A node that changes a variable, and the node of the value if it needs one. */
  private static byte[] assign(String name, String op, String variable, byte[] valueNode, String value) {
    byte[] shape = op.equals("AssignVariableOp") ? attribute("validate_shape", field(5, 1)) : new byte[0];
    return concat(valueNode, node(name, op, variable + "," + value, attribute("dtype", type(FLOAT)), shape));
  }

  /** The nodes of "noisy": a value to whose elements numbers from the standard normal distribution are added. */
  private static byte[] noisy(String value) {
    return concat(
        node("noisy/shape", "Shape", value, attribute("T", type(FLOAT))),
        node("noisy/normal", "RandomStandardNormal", "noisy/shape", attribute("dtype", type(FLOAT)), attribute("T", type(INT32))),
        node("noisy", "AddV2", value + ",noisy/normal", attribute("T", type(FLOAT))));
  }

  private static byte[] group(String name, String... operations) {
    return node(name, "NoOp", String.join(",", List.of(operations).stream().map(operation -> "^" + operation).toList()));
  }

  private static byte[] constant(String name, byte[] tensor) {
    int dtype = tensor(tensor).getDtypeValue();
    return node(name, "Const", "", attribute("dtype", type(dtype)), attribute("value", field(8, tensor)));
  }

  private static byte[] restore(String name, String path, String tensor) {
    return concat(
        constant(name + "/name", string(tensor)), node(name, "Restore", path + "," + name + "/name", attribute("dt", type(FLOAT))));
  }

  private static byte[] save(String name, String path, String tensor, String value) {
    return concat(
        constant(name + "/names", strings(tensor)),
        node(name, "Save", path + "," + name + "/names," + value, attribute("T", types(FLOAT))));
  }
}

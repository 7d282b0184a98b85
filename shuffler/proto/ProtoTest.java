package com.google.ondevicepersonalization.federatedcompute.proto;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.fcp.aggregation.proto.Configuration;
import com.google.fcp.aggregation.proto.Configuration.IntrinsicConfig;
import com.google.fcp.aggregation.proto.Configuration.IntrinsicConfig.IntrinsicArg;
import com.google.fcp.aggregation.proto.DataType;
import com.google.fcp.aggregation.proto.TensorProto;
import com.google.fcp.aggregation.proto.TensorShapeProto;
import com.google.fcp.aggregation.proto.TensorSpecProto;
import com.google.internal.federated.plan.PlanProto.AggregationConfig;
import com.google.internal.federated.plan.PlanProto.CheckpointOp;
import com.google.internal.federated.plan.PlanProto.ClientOnlyPlan;
import com.google.internal.federated.plan.PlanProto.ClientPersistedData;
import com.google.internal.federated.plan.PlanProto.ClientPhase;
import com.google.internal.federated.plan.PlanProto.ExampleSelector;
import com.google.internal.federated.plan.PlanProto.FederatedComputeIORouter;
import com.google.internal.federated.plan.PlanProto.Plan;
import com.google.internal.federated.plan.PlanProto.ServerAggregationConfig;
import com.google.internal.federated.plan.PlanProto.ServerPhase;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import com.google.internal.federated.plan.PlanProto.ServerPrepareIORouter;
import com.google.internal.federated.plan.PlanProto.ServerResultIORouter;
import com.google.internal.federated.plan.PlanProto.TFV1CheckpointAggregation;
import com.google.internal.federated.plan.PlanProto.TensorflowSpec;
import com.google.internal.federatedcompute.v1.RejectionInfo;
import com.google.internal.federatedcompute.v1.RejectionReason;
import com.google.internal.federatedcompute.v1.Resource;
import com.google.internal.federatedcompute.v1.ResourceCompressionFormat;
import com.google.internal.federatedcompute.v1.RetryWindow;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.tensorflow.util.SaverDef;

/** The messages on the wire, for Java: see proto_test.py, which tests the same bytes for Python. */
class ProtoTest {
  private static Map<String, Message> messages() {
    Task task =
        Task.newBuilder()
            .setPopulationName("p")
            .setTaskId(7)
            .setMinClientVersion("3")
            .addClientOnlyPlanUrl("gs://b/1")
            .addClientOnlyPlanUrl("gs://b/2")
            .setStatus(TaskStatus.Enum.CREATED)
            .setCreatedTime(Timestamp.newBuilder().setSeconds(1_700_000_000))
            .setInfo(
                TaskInfo.newBuilder()
                    .setTrafficWeight(1)
                    .setTrainingInfo(
                        TrainingInfo.newBuilder()
                            .setEligibilityTaskInfo(
                                EligibilityTaskInfo.newBuilder()
                                    .addEligibilityPolicies(
                                        EligibilityPolicyEvalSpec.newBuilder()
                                            .setId("e")
                                            .setMinSepPolicy(MinimumSeparationPolicy.newBuilder().setMinimumSeparation(5))))))
            .build();
    Resource plan = Resource.newBuilder().setUri("u").setCompressionFormat(ResourceCompressionFormat.RESOURCE_COMPRESSION_FORMAT_GZIP).build();
    RejectionInfo rejection =
        RejectionInfo.newBuilder()
            .setReason(RejectionReason.Enum.NO_TASK_AVAILABLE)
            .setRetryWindow(RetryWindow.newBuilder().setDelayMin(Duration.newBuilder().setSeconds(60)))
            .build();
    UploadInstruction upload =
        UploadInstruction.newBuilder()
            .setUploadLocation("l")
            .putExtraRequestHeaders("k", "v")
            .setCompressionFormat(ResourceCompressionFormat.RESOURCE_COMPRESSION_FORMAT_UNSPECIFIED)
            .build();
    TaskConfig config =
        TaskConfig.newBuilder()
            .setMode(TaskMode.Enum.TRAINING_AND_EVAL)
            .setFederatedLearning(
                FederatedLearning.newBuilder()
                    .setLearningProcess(
                        LearningProcess.newBuilder().addMetrics(Metric.newBuilder().setName("auc").setParameter("1"))))
            .setDifferentialPrivacy(DifferentialPrivacy.newBuilder().setNoiseMultiplier(0.5))
            .setUseDaf(true)
            .build();
    TaskReport report =
        TaskReport.newBuilder()
            .setMetricResults(TaskReport.MetricResults.newBuilder().setAcceptedMetrics("auc"))
            .setDpHyperparameters(TaskReport.DPHyperparameters.newBuilder().setNumTrainingRounds(9))
            .build();
    Map<String, Message> all = new HashMap<>(plans());
    all.putAll(Map.of(
        "CreateTaskRequest", CreateTaskRequest.newBuilder().setTask(task).build(),
        "CreateTaskAssignmentResponse.task_assignment",
            CreateTaskAssignmentResponse.newBuilder()
                .setTaskAssignment(TaskAssignment.newBuilder().setAssignmentId("a").setPlan(plan))
                .build(),
        "CreateTaskAssignmentResponse.rejection_info", CreateTaskAssignmentResponse.newBuilder().setRejectionInfo(rejection).build(),
        "ReportResultResponse", ReportResultResponse.newBuilder().setUploadInstruction(upload).build(),
        "BuildTaskRequest",
            BuildTaskRequest.newBuilder()
                .setSavedModel(Resource.newBuilder().setInlineResource(Resource.InlineResource.newBuilder().setData(bytes(0, -1))))
                .setTaskConfig(config)
                .setFlags(ExperimentFlags.newBuilder().setSkipDpAggregator(true))
                .build(),
        "BuildTaskResponse",
            BuildTaskResponse.newBuilder()
                .setErrorInfo(ErrorInfo.newBuilder().setErrorType(ErrorType.Enum.ARTIFACT_BUILDING_ERROR))
                .setTaskReport(report)
                .build()));
    return all;
  }

  private static Map<String, Message> plans() {
    Plan first =
        Plan.newBuilder()
            .setVersion(1)
            .setServerSavepoint(
                CheckpointOp.newBuilder()
                    .setSaverDef(SaverDef.newBuilder().setFilenameTensorName("f").setVersion(SaverDef.CheckpointFormatVersion.V1))
                    .setAfterRestoreOp("r"))
            .setServerGraphBytes(any(0, -1))
            .addPhase(
                Plan.Phase.newBuilder()
                    .setServerPhase(
                        ServerPhase.newBuilder()
                            .setPhaseInitOp("i")
                            .setApplyAggregratedUpdatesOp("a")
                            .setWriteIntermediateUpdate(CheckpointOp.newBuilder().setBeforeSaveOp("b"))
                            .setIntermediateAggregateIntoAccumulatorsOp("m")
                            .addMetrics(
                                com.google.internal.federated.plan.PlanProto.Metric.newBuilder().setVariableName("v").setStatName("s"))))
            .build();
    Plan second =
        Plan.newBuilder()
            .setServerGraphPrepareBytes(any('p'))
            .setServerGraphResultBytes(any('q'))
            .addPhase(
                Plan.Phase.newBuilder()
                    .setServerPhaseV2(
                        ServerPhaseV2.newBuilder()
                            .addAggregations(
                                ServerAggregationConfig.newBuilder()
                                    .setIntrinsicUri("federated_sum")
                                    .addIntrinsicArgs(
                                        ServerAggregationConfig.IntrinsicArg.newBuilder()
                                            .setInputTensor(
                                                tensorflow.Struct.TensorSpecProto.newBuilder()
                                                    .setName("x")
                                                    .setDtype(org.tensorflow.framework.DataType.DT_FLOAT)
                                                    .setShape(
                                                        org.tensorflow.framework.TensorShapeProto.newBuilder()
                                                            .addDim(
                                                                org.tensorflow.framework.TensorShapeProto.Dim.newBuilder().setSize(-1)))))
                                    .addOutputTensors(tensorflow.Struct.TensorSpecProto.newBuilder().setName("y")))
                            .setTensorflowSpecPrepare(TensorflowSpec.newBuilder().addTargetNodeNames("t"))
                            .setPrepareRouter(ServerPrepareIORouter.newBuilder().setPrepareOutputFilepathTensorName("c"))
                            .setResultRouter(ServerResultIORouter.newBuilder().setResultServerStateOutputFilepathTensorName("n"))))
            .build();
    ClientOnlyPlan client =
        ClientOnlyPlan.newBuilder()
            .setTfliteGraph(bytes('l'))
            .setClientPersistedData(ClientPersistedData.newBuilder().setMinSepPolicyIndex(0))
            .setPhase(
                ClientPhase.newBuilder()
                    .setTensorflowSpec(
                        TensorflowSpec.newBuilder()
                            .setDatasetTokenTensorName("d")
                            .setExampleSelector(ExampleSelector.newBuilder().setCollectionUri("e"))
                            .putConstantInputs("k", org.tensorflow.framework.TensorProto.newBuilder().addIntVal(3).build()))
                    .setFederatedCompute(
                        FederatedComputeIORouter.newBuilder()
                            .setInputFilepathTensorName("i")
                            .putAggregations(
                                "u",
                                AggregationConfig.newBuilder()
                                    .setTfV1CheckpointAggregation(TFV1CheckpointAggregation.getDefaultInstance())
                                    .build())))
            .build();
    Configuration configuration =
        Configuration.newBuilder()
            .addIntrinsicConfigs(
                IntrinsicConfig.newBuilder()
                    .setIntrinsicUri("fedsql_group_by")
                    .addIntrinsicArgs(
                        IntrinsicArg.newBuilder()
                            .setInputTensor(
                                TensorSpecProto.newBuilder()
                                    .setName("k")
                                    .setDtype(DataType.DT_STRING)
                                    .setShape(TensorShapeProto.newBuilder().addDimSizes(-1))))
                    .addIntrinsicArgs(
                        IntrinsicArg.newBuilder()
                            .setParameter(
                                TensorProto.newBuilder()
                                    .setDtype(DataType.DT_UINT64)
                                    .setContent(bytes('c'))
                                    .addFloatVal(0.5f)
                                    .addDoubleVal(0.5)
                                    .addIntVal(1)
                                    .addInt64Val(2)))
                    .addInnerIntrinsics(
                        IntrinsicConfig.newBuilder()
                            .setIntrinsicUri("GoogleSQL:sum")
                            .addOutputTensors(TensorSpecProto.newBuilder().setName("o"))))
            .build();
    return Map.of("Plan.server_phase", first, "Plan.server_phase_v2", second, "ClientOnlyPlan", client, "Configuration", configuration);
  }

  private static Any any(int... value) {
    return Any.newBuilder().setValue(bytes(value)).build();
  }

  private static ByteString bytes(int... value) {
    byte[] bytes = new byte[value.length];
    for (int i = 0; i < value.length; i++) {
      bytes[i] = (byte) value[i];
    }
    return ByteString.copyFrom(bytes);
  }

  @Test
  void messagesHaveTheGoldenBytes() throws IOException {
    Map<String, String> golden =
        Files.readAllLines(Path.of("shuffler/proto/golden_messages.txt")).stream()
            .filter(line -> !line.startsWith("#"))
            .map(line -> line.split(" "))
            .collect(Collectors.toMap(words -> words[0], words -> words[1]));
    assertThat(messages())
        .hasSameSizeAs(golden)
        .allSatisfy((name, message) -> assertThat(HexFormat.of().formatHex(message.toByteArray())).as(name).isEqualTo(golden.get(name)));
  }
}

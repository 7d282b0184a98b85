package com.google.ondevicepersonalization.federatedcompute.proto;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.internal.federatedcompute.v1.RejectionInfo;
import com.google.internal.federatedcompute.v1.RejectionReason;
import com.google.internal.federatedcompute.v1.Resource;
import com.google.internal.federatedcompute.v1.ResourceCompressionFormat;
import com.google.internal.federatedcompute.v1.RetryWindow;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

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
    ByteString model = ByteString.copyFrom(new byte[] {0, -1});
    TaskReport report =
        TaskReport.newBuilder()
            .setMetricResults(TaskReport.MetricResults.newBuilder().setAcceptedMetrics("auc"))
            .setDpHyperparameters(TaskReport.DPHyperparameters.newBuilder().setNumTrainingRounds(9))
            .build();
    return Map.of(
        "CreateTaskRequest", CreateTaskRequest.newBuilder().setTask(task).build(),
        "CreateTaskAssignmentResponse.task_assignment",
            CreateTaskAssignmentResponse.newBuilder()
                .setTaskAssignment(TaskAssignment.newBuilder().setAssignmentId("a").setPlan(plan))
                .build(),
        "CreateTaskAssignmentResponse.rejection_info", CreateTaskAssignmentResponse.newBuilder().setRejectionInfo(rejection).build(),
        "ReportResultResponse", ReportResultResponse.newBuilder().setUploadInstruction(upload).build(),
        "BuildTaskRequest",
            BuildTaskRequest.newBuilder()
                .setSavedModel(Resource.newBuilder().setInlineResource(Resource.InlineResource.newBuilder().setData(model)))
                .setTaskConfig(config)
                .setFlags(ExperimentFlags.newBuilder().setSkipDpAggregator(true))
                .build(),
        "BuildTaskResponse",
            BuildTaskResponse.newBuilder()
                .setErrorInfo(ErrorInfo.newBuilder().setErrorType(ErrorType.Enum.ARTIFACT_BUILDING_ERROR))
                .setTaskReport(report)
                .build());
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

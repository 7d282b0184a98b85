package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Gzip;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.testing.TestService;
import com.google.internal.federatedcompute.v1.ClientVersion;
import com.google.internal.federatedcompute.v1.RejectionReason;
import com.google.internal.federatedcompute.v1.ResourceCompressionFormat;
import com.google.internal.federatedcompute.v1.RetryWindow;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.EligibilityPolicyEvalSpec;
import com.google.ondevicepersonalization.federatedcompute.proto.EligibilityTaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.MinimumSeparationPolicy;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskAssignment;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.UploadInstruction;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AssignmentControllerTest {
  private static final ClientVersions VERSIONS = new ClientVersions("10", "20");
  private static final TaskInfo TRAINING = TaskInfo.newBuilder()
      .setTrafficWeight(1)
      .setTrainingInfo(TrainingInfo.newBuilder().setEligibilityTaskInfo(EligibilityTaskInfo.newBuilder().addEligibilityPolicies(
          EligibilityPolicyEvalSpec.newBuilder().setMinSepPolicy(MinimumSeparationPolicy.newBuilder().setMinimumSeparation(3)))))
      .build();
  private static final TaskInfo EVALUATION = TaskInfo.newBuilder()
      .setTrafficWeight(3)
      .setEvaluationInfo(EvaluationInfo.newBuilder().setCheckPointSelector(CheckPointSelector.getDefaultInstance()))
      .build();

  @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();

  @TempDir Path folder;
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private TestService service;

  @BeforeEach
  void start() {
    Clock clock = Clock.systemUTC();
    Duration minute = Duration.ofMinutes(1);
    service = new TestService(postgres, folder, clock, beans -> {
      TestService test = beans.service();
      beans.context().registerBean(AssignmentController.class, () -> new AssignmentController(
          new CheckIn(test.iterations, test.assignments, clock, new Random(1)),
          test.iterations,
          test.assignments,
          test.blobs,
          test.layout,
          new AssignmentController.Lifetimes(minute, minute, minute),
          meters,
          clock));
    });
  }

  @AfterEach
  void stop() {
    service.close();
  }

  private Iteration collecting(TaskInfo info, long max) {
    Task.Settings settings = new Task.Settings(
        5, 1, max, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), 0, "", VERSIONS, info);
    TaskKey task = service.tasks.create("some population", settings, Instant.now()).key();
    service.tasks.move(task, TaskStatus.CREATED, TaskStatus.OPEN, Instant.now());
    IterationKey key = new IterationKey(task, 4, 0);
    service.iterations.begin(
        key, new Iteration.Settings(3, 3, 4, 1, max, VERSIONS, IterationInfo.newBuilder().setTaskInfo(info).build()), Instant.now());
    return service.iterations.find(key).orElseThrow();
  }

  private HttpResponse<byte[]> checkIn(String population, String version) {
    return service.send(
        "POST",
        "/taskassignment/v1/population/" + URLEncoder.encode(population, StandardCharsets.UTF_8).replace("+", "%20")
            + ":create-task-assignment",
        CreateTaskAssignmentRequest.newBuilder().setClientVersion(ClientVersion.newBuilder().setVersionCode(version)).build());
  }

  private TaskAssignment assigned() {
    HttpResponse<byte[]> answer = checkIn("some population", "15");
    assertThat(answer.statusCode()).isEqualTo(201);
    return TestService.message(answer, CreateTaskAssignmentResponse.parser()).getTaskAssignment();
  }

  private HttpResponse<byte[]> report(String selfUri, ReportResultRequest.Result result) {
    return service.send(
        "PUT",
        "/taskassignment/v1" + selfUri.replace(" ", "%20") + ":report-result",
        ReportResultRequest.newBuilder().setResult(result).build());
  }

  private static HttpResponse<byte[]> request(String method, String url, Map<String, String> headers, byte[] body) throws Exception {
    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).method(method, HttpRequest.BodyPublishers.ofByteArray(body));
    headers.forEach(request::header);
    return HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
  }

  @Test
  void deviceChecksInDownloadsReportsAndUploads() throws Exception {
    Iteration iteration = collecting(TRAINING, 2);
    TaskKey task = iteration.key().task();
    service.blobs.write(service.layout.clientPlan(task), new byte[] {1, 2});
    service.blobs.write(service.layout.clientCheckpoint(task, 3), new byte[] {3, 4});

    TaskAssignment assignment = assigned();
    assertThat(assignment.getPopulationName()).isEqualTo("some population");
    assertThat(assignment.getTaskId()).isEqualTo("1");
    assertThat(assignment.getAggregationId()).isEqualTo("4");
    assertThat(assignment.getTaskName()).isEqualTo("/population/some population/task/1");
    assertThat(assignment.getSelfUri())
        .isEqualTo("/population/some population/task/1/aggregation/4/task-assignment/" + assignment.getAssignmentId());
    assertThat(assignment.getEligibilityTaskInfo().getEligibilityPolicies(0).getMinSepPolicy())
        .isEqualTo(MinimumSeparationPolicy.newBuilder().setCurrentIndex(4).setMinimumSeparation(3).build());
    assertThat(assignment.getPlan().getCompressionFormat()).isEqualTo(ResourceCompressionFormat.RESOURCE_COMPRESSION_FORMAT_GZIP);
    assertThat(Gzip.decompress(request("GET", assignment.getPlan().getUri(), Map.of(), new byte[0]).body(), 10)).containsExactly(1, 2);
    assertThat(Gzip.decompress(request("GET", assignment.getInitCheckpoint().getUri(), Map.of(), new byte[0]).body(), 10))
        .containsExactly(3, 4);

    for (int repeated = 0; repeated < 2; repeated++) {
      HttpResponse<byte[]> answer = report(assignment.getSelfUri(), ReportResultRequest.Result.COMPLETED);
      assertThat(answer.statusCode()).isEqualTo(200);
      UploadInstruction upload = TestService.message(answer, ReportResultResponse.parser()).getUploadInstruction();
      assertThat(upload.getExtraRequestHeadersMap())
          .isEqualTo(Map.of("content-type", "application/octet-stream", "content-encoding", "gzip"));
      assertThat(request("PUT", upload.getUploadLocation(), upload.getExtraRequestHeadersMap(), Gzip.compress(new byte[] {5})).statusCode())
          .isEqualTo(200);
    }
    assertThat(service.blobs.read(service.layout.upload(task, 4, assignment.getAssignmentId()))).containsExactly(5);
    assertThat(service.blobs.folders(service.layout.uploadBucket(), service.layout.uploads(task, 4)))
        .containsExactly(assignment.getAssignmentId());
    assertThat(service.assignments.status(new AssignmentKey(iteration.key(), assignment.getAssignmentId())))
        .contains(AssignmentStatus.LOCAL_COMPLETED);
    assertThat(meters.get("create-task-assignment").tags("population", "some population", "result", "CREATED").timer().count()).isOne();
    assertThat(meters.get("report-result").tags("population", "some population", "result", "COMPLETED").timer().count()).isEqualTo(2);
  }

  @ParameterizedTest
  @CsvSource({
    "FAILED, LOCAL_FAILED",
    "NOT_ELIGIBLE, LOCAL_NOT_ELIGIBLE",
    "FAILED_EXAMPLE_GENERATION, LOCAL_FAILED_EXAMPLE_GENERATION",
    "FAILED_MODEL_COMPUTATION, LOCAL_FAILED_MODEL_COMPUTATION",
    "FAILED_OPS_ERROR, LOCAL_FAILED_OPS_ERROR",
    "UNKNOWN, ASSIGNED"
  })
  void failureIsRecordedAndAnsweredEmpty(ReportResultRequest.Result result, AssignmentStatus status) {
    Iteration iteration = collecting(TRAINING, 1);
    TaskAssignment assignment = assigned();
    HttpResponse<byte[]> answer = report(assignment.getSelfUri(), result);
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.body()).isEmpty();
    assertThat(service.assignments.status(new AssignmentKey(iteration.key(), assignment.getAssignmentId()))).contains(status);
    if (!status.active()) {
      assertThat(report(assignment.getSelfUri(), ReportResultRequest.Result.COMPLETED).statusCode()).isEqualTo(404);
    }
  }

  @Test
  void unknownAssignmentIsNotFound() {
    collecting(TRAINING, 1);
    for (ReportResultRequest.Result result : List.of(ReportResultRequest.Result.COMPLETED, ReportResultRequest.Result.FAILED)) {
      for (String uri : List.of(
          "/population/some population/task/1/aggregation/4/task-assignment/x", "/population/q/task/9/aggregation/9/task-assignment/x")) {
        assertThat(report(uri, result).statusCode()).isEqualTo(404);
      }
    }
  }

  @Test
  void rejectionsSayWhyAndWhenToComeBack() {
    assertThat(rejection("unknown", "15")).isEqualTo(RejectionReason.Enum.NO_ACTIVE_TASK_EXISTS + " 86400-172800");
    Iteration iteration = collecting(TRAINING, 1);
    assertThat(rejection("some population", "9")).isEqualTo(RejectionReason.Enum.CLIENT_VERSION_MISMATCH + " 86400-172800");
    assertThat(rejection("some population", "21")).isEqualTo(RejectionReason.Enum.CLIENT_VERSION_MISMATCH + " 86400-172800");
    assigned();
    assertThat(rejection("some population", "15")).isEqualTo(RejectionReason.Enum.NO_TASK_AVAILABLE + " 60-300");
    service.iterations.move(iteration, IterationStatus.AGGREGATING, 1, Instant.now());
    assertThat(rejection("some population", "15")).isEqualTo(RejectionReason.Enum.NO_TASK_AVAILABLE + " 60-300");
  }

  @Test
  void devicesOfACanceledTaskHaveNothingMoreToDo() {
    Iteration iteration = collecting(TRAINING, 5);
    TaskAssignment working = assigned();
    TaskAssignment failing = assigned();
    TaskAssignment uploading = assigned();
    assertThat(report(uploading.getSelfUri(), ReportResultRequest.Result.COMPLETED).statusCode()).isEqualTo(200);
    service.iterations.cancel(iteration.key().task(), Instant.now());
    assertThat(rejection("some population", "15")).isEqualTo(RejectionReason.Enum.NO_ACTIVE_TASK_EXISTS + " 86400-172800");
    assertThat(report(working.getSelfUri(), ReportResultRequest.Result.COMPLETED).statusCode()).isEqualTo(404);
    assertThat(report(failing.getSelfUri(), ReportResultRequest.Result.FAILED).statusCode()).isEqualTo(200);
    assertThat(report(uploading.getSelfUri(), ReportResultRequest.Result.COMPLETED).statusCode()).isEqualTo(404);
    assertThat(service.assignments.status(new AssignmentKey(iteration.key(), working.getAssignmentId())))
        .contains(AssignmentStatus.ASSIGNED);
  }

  private String rejection(String population, String version) {
    HttpResponse<byte[]> answer = checkIn(population, version);
    assertThat(answer.statusCode()).isEqualTo(200);
    var info = TestService.message(answer, CreateTaskAssignmentResponse.parser()).getRejectionInfo();
    RetryWindow window = info.getRetryWindow();
    return info.getReason() + " " + window.getDelayMin().getSeconds() + "-" + window.getDelayMax().getSeconds();
  }

  @Test
  void trafficIsDividedByWeight() {
    collecting(TRAINING, 1000);
    collecting(EVALUATION, 1000);
    Map<String, Long> tasks = IntStream.range(0, 200)
        .mapToObj(i -> assigned().getTaskId())
        .collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));
    // 3 of 4 go to the second task; 4 standard deviations are 25.
    assertThat(tasks.get("2")).isBetween(125L, 175L);
  }

  @Test
  void fullTaskLeavesDevicesToTheOther() {
    collecting(TRAINING, 5);
    collecting(EVALUATION, 5);
    Map<String, Long> tasks = IntStream.range(0, 10)
        .mapToObj(i -> assigned().getTaskId())
        .collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));
    assertThat(tasks).isEqualTo(Map.of("1", 5L, "2", 5L));
    assertThat(rejection("some population", "15")).startsWith("NO_TASK_AVAILABLE");
  }

  @Test
  void badRequestsAreRefusedAndChangeNothing() {
    Iteration iteration = collecting(TRAINING, 5);
    assertThat(checkIn("some population", "one").statusCode()).isEqualTo(400);
    assertThat(checkIn("some population", "").statusCode()).isEqualTo(400);
    assertThat(checkIn("a..b", "15").statusCode()).isEqualTo(400);
    String create = "/taskassignment/v1/population/some%20population:create-task-assignment";
    assertThat(service.send("POST", create, "application/x-protobuf", new byte[] {-1}).statusCode()).isEqualTo(400);
    assertThat(service.send("POST", create, "image/png", new byte[0]).statusCode()).isEqualTo(415);
    for (String path : List.of("task/x/aggregation/1/task-assignment/a", "task/1/aggregation/-1/task-assignment/a")) {
      assertThat(report("/population/p/" + path, ReportResultRequest.Result.FAILED).statusCode()).isEqualTo(400);
    }
    long assignments = service.database.query(client -> client.sql("SELECT COUNT(*) FROM assignment").query(Long.class).single());
    assertThat(assignments).isZero();
    assertThat(service.iterations.find(iteration.key())).contains(iteration);
  }

  @Test
  void unknownPopulationsMakeNoMetricsOfTheirOwn() {
    for (int i = 0; i < 20; i++) {
      checkIn("made up " + i, "15");
    }
    assertThat(meters.find("create-task-assignment").timers()).hasSize(1);
  }
}

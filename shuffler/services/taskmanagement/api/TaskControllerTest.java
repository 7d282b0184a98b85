package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.testing.TestService;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.EveryKHoursCheckpointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.GetTaskByIdResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.Task;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import com.google.protobuf.Timestamp;
import java.net.URLEncoder;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TaskControllerTest {
  private static final Instant NOW = Instant.parse("2026-01-02T03:04:05.678901Z");
  private static final Task TASK =
      Task.newBuilder().setTotalIteration(3).setMinAggregationSize(2).setMaxAggregationSize(4).setCorrelationId("c").build();

  @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();

  @TempDir Path folder;
  private TestService service;

  @BeforeEach
  void start() {
    service = new TestService(postgres, folder, Clock.fixed(NOW, ZoneOffset.UTC), beans -> beans.context().registerBean(
        TaskController.class,
        () -> new TaskController(
            beans.service().tasks, beans.service().iterations, beans.service().layout, BlobName::toString, Clock.fixed(NOW, ZoneOffset.UTC))));
  }

  @AfterEach
  void stop() {
    service.close();
  }

  private static String path(String population) {
    return "/taskmanagement/v1/population/" + URLEncoder.encode(population, StandardCharsets.UTF_8).replace("+", "%20") + ":create-task";
  }

  private HttpResponse<byte[]> create(String population, Task task) {
    return service.send("POST", path(population), CreateTaskRequest.newBuilder().setTask(task).build());
  }

  private HttpResponse<byte[]> get(String path) {
    return service.send("GET", "/taskmanagement/v1/population/" + path, "application/x-protobuf", new byte[0]);
  }

  private HttpResponse<byte[]> cancel(long task) {
    return service.send("POST", "/taskmanagement/v1/population/p/tasks/" + task + ":cancel", "application/x-protobuf", new byte[0]);
  }

  @Test
  void taskIsCreatedAndFound() {
    HttpResponse<byte[]> answer = create("some population", TASK.toBuilder().setPopulationName("other").setTaskId(77).build());
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.headers().firstValue("content-type").orElseThrow()).startsWith("application/x-protobuf");
    Task created = TestService.message(answer, CreateTaskResponse.parser()).getTask();
    String prefix = "gs://fcp-test-m-0/some population/1/0/s/0/";
    assertThat(created).isEqualTo(TASK.toBuilder()
        .setPopulationName("some population")
        .setTaskId(1)
        .setStatus(com.google.ondevicepersonalization.federatedcompute.proto.TaskStatus.Enum.CREATED)
        .setCreatedTime(Timestamp.newBuilder().setSeconds(NOW.getEpochSecond()).setNanos(NOW.getNano()))
        .setMinClientVersion("0")
        .setMaxClientVersion("999999999999999999")
        .setInfo(TaskInfo.newBuilder().setTrafficWeight(1).setTrainingInfo(TrainingInfo.getDefaultInstance()))
        .addClientOnlyPlanUrl(prefix + "client_only_plan")
        .addServerPhaseUrl(prefix + "server_phase")
        .addInitCheckpointUrl(prefix + "checkpoint")
        .addMetricsUrl(prefix + "metrics")
        .build());
    HttpResponse<byte[]> found = get("some%20population/tasks/1:get");
    assertThat(found.statusCode()).isEqualTo(200);
    assertThat(TestService.message(found, GetTaskByIdResponse.parser()).getTask()).isEqualTo(created);
  }

  @Test
  void timesAndKindAreStored() {
    Task task = TASK.toBuilder()
        .setStartTaskNoEarlierThan(Timestamp.newBuilder().setSeconds(10))
        .setDoNotCreateIterationAfter(Timestamp.newBuilder().setSeconds(20))
        .setStartedTime(Timestamp.newBuilder().setSeconds(30))
        .setStopTime(Timestamp.newBuilder().setSeconds(40))
        .setMinClientVersion("7")
        .setMaxClientVersion("9")
        .setMaxParallel(5)
        .setInfo(TaskInfo.newBuilder().setTrafficWeight(9).setEvaluationInfo(EvaluationInfo.newBuilder()
            .setTrainingPopulationName("p")
            .setTrainingTaskId(1)
            .setCheckPointSelector(
                CheckPointSelector.newBuilder().setDurationSelector(EveryKHoursCheckpointSelector.newBuilder().setHours(2)))))
        .build();
    Task created = TestService.message(create("p", task), CreateTaskResponse.parser()).getTask();
    Task found = TestService.message(get("p/tasks/1:get"), GetTaskByIdResponse.parser()).getTask();
    assertThat(found).isEqualTo(created);
    assertThat(found.getStartTaskNoEarlierThan().getSeconds()).isEqualTo(10);
    assertThat(found.getDoNotCreateIterationAfter().getSeconds()).isEqualTo(20);
    assertThat(found.getStartedTime().getSeconds()).isEqualTo(30);
    assertThat(found.getStopTime().getSeconds()).isEqualTo(40);
    assertThat(found.getInfo()).isEqualTo(task.getInfo());
  }

  @Test
  void secondActiveTaskOfAKindIsAConflict() {
    assertThat(create("p", TASK).statusCode()).isEqualTo(200);
    HttpResponse<byte[]> answer = create("p", TASK);
    assertThat(answer.statusCode()).isEqualTo(409);
    assertThat(new String(answer.body(), StandardCharsets.UTF_8)).contains("population p has the active task 1 of the same kind");
    assertThat(service.tasks.withStatus(TaskStatus.CREATED, 10)).hasSize(1);
  }

  @Test
  void activeTaskIsCanceledAndMakesRoomForAnother() {
    for (long number = 1; number <= 2; number++) {
      TaskKey key = new TaskKey("p", number);
      assertThat(create("p", TASK).statusCode()).isEqualTo(200);
      IterationKey iteration = new IterationKey(key, 1, 0);
      if (number == 2) {
        service.tasks.move(key, TaskStatus.CREATED, TaskStatus.OPEN, NOW);
        service.iterations.begin(iteration, new Iteration.Settings(
            0, 0, 1, 2, 4, new ClientVersions("0", "9"), IterationInfo.getDefaultInstance()), NOW);
      }
      for (int repeated = 0; repeated < 2; repeated++) {
        HttpResponse<byte[]> canceled = cancel(number);
        assertThat(canceled.statusCode()).isEqualTo(200);
        assertThat(TestService.message(canceled, GetTaskByIdResponse.parser()).getTask().getStatus())
            .isEqualTo(com.google.ondevicepersonalization.federatedcompute.proto.TaskStatus.Enum.CANCELED);
        assertThat(service.iterations.find(iteration).map(Iteration::status))
            .isEqualTo(number == 2 ? Optional.of(IterationStatus.CANCELED) : Optional.empty());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"COMPLETED", "FAILED"})
  void taskThatHasEndedStaysAsItIs(TaskStatus end) {
    TaskKey key = new TaskKey("p", 1);
    create("p", TASK);
    service.tasks.move(key, TaskStatus.CREATED, end, NOW);
    assertThat(cancel(1).statusCode()).isEqualTo(409);
    assertThat(service.tasks.find(key).orElseThrow().status()).isEqualTo(end);
    assertThat(cancel(2).statusCode()).isEqualTo(404);
  }

  @Test
  void unknownTaskIsNotFound() {
    assertThat(get("p/tasks/1:get").statusCode()).isEqualTo(404);
    assertThat(get("p/tasks/999999999999999999:get").statusCode()).isEqualTo(404);
  }

  @Test
  void badTasksAreRefusedWithAReason() {
    Timestamp never = Timestamp.newBuilder().setSeconds(Long.MAX_VALUE).build();
    EvaluationInfo evaluation = EvaluationInfo.newBuilder().setTrainingTaskId(1).build();
    List<Task> bad = List.of(
        TASK.toBuilder().setTotalIteration(-1).build(),
        TASK.toBuilder().setMinAggregationSize(0).build(),
        TASK.toBuilder().setMinAggregationSize(5).build(),
        TASK.toBuilder().setMaxAggregationSize(-4).build(),
        TASK.toBuilder().setMaxParallel(-1).build(),
        TASK.toBuilder().setMinClientVersion("one").build(),
        TASK.toBuilder().setMaxClientVersion("1234567890123456789").build(),
        TASK.toBuilder().setCorrelationId("x".repeat(257)).build(),
        TASK.toBuilder().setCorrelationId("\0").build(),
        TASK.toBuilder().setStopTime(never).build(),
        TASK.toBuilder().setInfo(TaskInfo.newBuilder().setTrafficWeight(-1)).build(),
        TASK.toBuilder().setInfo(TaskInfo.newBuilder().setEvaluationInfo(EvaluationInfo.getDefaultInstance())).build(),
        TASK.toBuilder().setInfo(TaskInfo.newBuilder().setEvaluationInfo(evaluation)).build());
    for (Task task : bad) {
      HttpResponse<byte[]> answer = create("p", task);
      assertThat(answer.statusCode()).as(task.toString()).isEqualTo(400);
      assertThat(new String(answer.body(), StandardCharsets.UTF_8)).contains("\"detail\":\"", "expected").doesNotContain("Exception");
    }
    assertThat(service.tasks.find(new TaskKey("p", 1))).isEmpty();
  }

  @Test
  void badNamesAreRefused() {
    for (String name : List.of("..", "a..b", "x".repeat(65), "a\u0007", "\u0000")) {
      assertThat(create(name, TASK).statusCode()).as(name).isEqualTo(400);
    }
    assertThat(create("a/b", TASK).statusCode()).isBetween(400, 404);
    assertThat(create("\u00fc \ud83d\ude00 '\";#?", TASK).statusCode()).isEqualTo(200);
  }

  @Test
  void whatIsNoRequestIsRefused() {
    assertThat(service.send("POST", path("p"), "application/x-protobuf", new byte[] {-1, -1}).statusCode()).isEqualTo(400);
    assertThat(service.send("POST", path("p"), "text/html", new byte[0]).statusCode()).isEqualTo(415);
    assertThat(service.send("DELETE", path("p"), "application/x-protobuf", new byte[0]).statusCode()).isEqualTo(405);
    assertThat(get("p/tasks/one:get").statusCode()).isEqualTo(400);
    assertThat(get("p/tasks/-1:get").statusCode()).isEqualTo(400);
  }
}

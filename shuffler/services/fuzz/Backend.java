package com.google.ondevicepersonalization.federatedcompute.shuffler.fuzz;

import com.google.internal.federatedcompute.v1.ClientVersion;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskAssignment;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.UploadInstruction;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.testing.JsonServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Postgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.protobuf.MessageLite;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Task management and task assignment on one PostgreSQL and one folder of blobs, with a task that collects. Task assignment authenticates
 * devices; the one with {@link #TOKEN} is let in, the attestation service accepts no other.
 */
final class Backend implements AutoCloseable {
  static final String TOKEN = "token-of-a-device";
  static final String POPULATION = "some population";

  private static final String RECORD = "[\"R09PRA==\"]";
  private static final String ACCEPTED = """
      {"verificationResult": "KEY_ATTESTATION_RECORD_VERIFICATION_RESULT_OK",
       "keyDescription": {
         "teeEnforced": {"rootOfTrust": {"verifiedBootState": "VERIFIED", "deviceLocked": true}},
         "softwareEnforced": {"attestationApplicationId": {"packageInfos": [{"name": "com.android.federatedcompute"}]}}}}
      """;
  private static final List<String> TABLES = List.of(
      "task", "task_status_history", "iteration", "iteration_status_history", "assignment_slots", "assignment",
      "assignment_status_history", "aggregation_batch", "allowed_authorization_token");

  final ServiceProcess management;
  final ServiceProcess assignment;
  final int managementPort;
  final int assignmentPort;

  private final PrivatePostgres postgres = PrivatePostgres.start();
  private final JsonServer attestation = new JsonServer(Backend::attest);
  private final Path folder;
  private final HikariDataSource source;
  private final Database database;

  Backend(Path folder) throws Exception {
    this.folder = folder;
    String url = postgres.newDatabase();
    String local = "--database_url '" + url + "' --metrics_database_url '" + postgres.newDatabase()
        + "' --database_user test --database_password '' --blob_folder '" + folder.resolve("store") + "' --public_url http://localhost";
    Map<String, String> environment = Map.of(
        "SPRING_PROFILES_ACTIVE", "local",
        "LOCAL_OPTS", local,
        "SECURITY_OPTS", "--is_authentication_enabled true --key_attestation_api_key hush --key_attestation_validation_base_url "
            + attestation.uri() + "v1/attestation");
    assignment = new ServiceProcess("task_assignment", folder, environment);
    management = new ServiceProcess("task_management", folder, environment);
    assignmentPort = assignment.awaitReady();
    managementPort = management.awaitReady();
    source = Postgres.connect(url, "test", "");
    database = new Database(source);
    collect();
  }

  private static JsonServer.Answer attest(JsonServer.Request request) {
    if (request.path().endsWith(":generateChallenge")) {
      return new JsonServer.Answer(200, "{\"challenge\": \"AAAA\"}");
    }
    return request.body().contains("R09PRA==") ? new JsonServer.Answer(200, ACCEPTED) : new JsonServer.Answer(400, "{}");
  }

  private void collect() {
    TaskInfo info = TaskInfo.newBuilder().setTrafficWeight(1).setTrainingInfo(TrainingInfo.getDefaultInstance()).build();
    ClientVersions versions = new ClientVersions("10", "20");
    Tasks tasks = new Tasks(database);
    Task.Settings settings = new Task.Settings(
        5, 1, 1_000_000, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), 0, "", versions, info);
    TaskKey task = tasks.create(POPULATION, settings, Instant.now()).key();
    tasks.move(task, TaskStatus.CREATED, TaskStatus.OPEN, Instant.now());
    new Iterations(database).begin(
        new IterationKey(task, 4, 0),
        new Iteration.Settings(3, 3, 4, 1, 1_000_000, versions, IterationInfo.newBuilder().setTaskInfo(info).build()),
        Instant.now());
  }

  /** Lets a device check in. */
  TaskAssignment checkIn() throws Exception {
    CreateTaskAssignmentRequest request =
        CreateTaskAssignmentRequest.newBuilder().setClientVersion(ClientVersion.newBuilder().setVersionCode("15")).build();
    String path = "/taskassignment/v1/population/some%20population:create-task-assignment";
    return CreateTaskAssignmentResponse.parseFrom(send("POST", path, request)).getTaskAssignment();
  }

  /** Lets a device report that it has something to upload. */
  UploadInstruction report(TaskAssignment assigned) throws Exception {
    ReportResultRequest request = ReportResultRequest.newBuilder().setResult(ReportResultRequest.Result.COMPLETED).build();
    return ReportResultResponse.parseFrom(send("PUT", reportPath(assigned), request)).getUploadInstruction();
  }

  static String reportPath(TaskAssignment assigned) {
    return "/taskassignment/v1" + assigned.getSelfUri().replace(" ", "%20") + ":report-result";
  }

  private byte[] send(String method, String path, MessageLite message) throws IOException, InterruptedException {
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + assignmentPort + path))
        .method(method, HttpRequest.BodyPublishers.ofByteArray(message.toByteArray()))
        .header("Content-Type", "application/x-protobuf")
        .header("odp-authorization-key", TOKEN)
        .header("odp-authentication-key", RECORD)
        .build();
    HttpResponse<byte[]> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());
    if (answer.statusCode() >= 300) {
      throw new AssertionError(path + ": " + answer.statusCode());
    }
    return answer.body();
  }

  /** All rows of all tables, and all blobs: equal to another one if nothing changed. */
  String state() throws IOException {
    String digests = TABLES.stream()
        .map(table -> "(SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM " + table + " t)")
        .collect(Collectors.joining(" || ' ' || "));
    String tables = database.query(client -> client.sql("SELECT " + digests).query(String.class).single());
    try (Stream<Path> files = Files.walk(folder.resolve("store"))) {
      return tables + files.filter(Files::isRegularFile).map(Backend::stamp).sorted().toList();
    }
  }

  private static String stamp(Path file) {
    try {
      return file + " " + Files.size(file) + " " + Files.getLastModifiedTime(file).toInstant();
    } catch (IOException problem) {
      throw new AssertionError(problem);
    }
  }

  @Override
  public void close() {
    assignment.close();
    management.close();
    source.close();
    attestation.close();
    postgres.close();
  }
}

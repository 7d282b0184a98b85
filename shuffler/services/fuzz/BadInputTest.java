package com.google.ondevicepersonalization.federatedcompute.shuffler.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.internal.federatedcompute.v1.ClientVersion;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.Task;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskAssignment;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Bad input to the services as they ship: an answer below 500 that is short and says nothing of the inside, one line in the log, nothing
 * changed in tables and blobs.
 *
 * <p>The environment variable FUZZ_REQUESTS says how many damaged requests are sent, FUZZ_SEED which ones; a failure names both.
 */
class BadInputTest {
  private static final String PROTOBUF = "application/x-protobuf";
  private static final String MANAGEMENT = "/taskmanagement/v1/population/";
  private static final String ASSIGNMENT = "/taskassignment/v1/population/";
  private static final byte[] TASK = task("5").toByteArray();
  private static final byte[] NEGATIVE = CreateTaskRequest.newBuilder()
      .setTask(Task.newBuilder().setMinAggregationSize(-1).setMaxAggregationSize(4))
      .build()
      .toByteArray();
  private static final byte[] CHECK_IN = checkIn("15");
  private static final byte[] COMPLETED =
      ReportResultRequest.newBuilder().setResult(ReportResultRequest.Result.COMPLETED).build().toByteArray();
  private static final byte[] EMPTY = {};
  private static final int MOST_FAILURES = 20;
  private static final int LONGEST_BODY = 500;
  private static final int LONGEST_LINE = 1100;

  @TempDir static Path folder;

  private static Backend backend;
  private static TaskAssignment assigned;
  private static String upload;
  private static String download;

  @BeforeAll
  static void start() throws Exception {
    backend = new Backend(folder);
    assigned = backend.checkIn();
    upload = pathAndQuery(backend.report(assigned).getUploadLocation());
    download = pathAndQuery(assigned.getPlan().getUri());
  }

  @AfterAll
  static void stop() {
    if (backend != null) {
      backend.close();
    }
  }

  private static CreateTaskRequest task(String version) {
    return CreateTaskRequest.newBuilder()
        .setTask(Task.newBuilder().setTotalIteration(3).setMinAggregationSize(2).setMaxAggregationSize(4).setMinClientVersion(version))
        .build();
  }

  private static byte[] checkIn(String version) {
    return CreateTaskAssignmentRequest.newBuilder()
        .setClientVersion(ClientVersion.newBuilder().setVersionCode(version))
        .build()
        .toByteArray();
  }

  private static String pathAndQuery(String url) {
    URI uri = URI.create(url);
    return uri.getRawPath() + "?" + uri.getRawQuery();
  }

  private static Request create(String population, byte[] body) {
    return Request.of("POST", MANAGEMENT + population + ":create-task", PROTOBUF, body);
  }

  private static Request checkIn(String population, byte[] body) {
    return Request.of("POST", ASSIGNMENT + population + ":create-task-assignment", PROTOBUF, body);
  }

  private static Request report(String rest) {
    return Request.of("PUT", ASSIGNMENT + "some%20population/" + rest + ":report-result", PROTOBUF, COMPLETED);
  }

  private static Request put(String target) {
    return Request.of("PUT", target, "application/octet-stream", new byte[] {1, 2, 3}).with("Content-Encoding", "gzip");
  }

  /** A named bad input, and what it gets. */
  private record Bad(String name, Request request, int status, String reason) {}

  private static List<Bad> bad() {
    String session = assigned.getAssignmentId();
    String expired = upload.replaceFirst("expires=[0-9]+", "expires=1");
    String altered = upload.replaceFirst("signature=(.)", "signature=" + (upload.contains("signature=A") ? "B" : "A"));
    String elsewhere = upload.replace(session, "00000000-0000-0000-0000-000000000000");
    List<Bad> bad = new ArrayList<>(List.of(
        new Bad("malformed protobuf", create("p", new byte[] {-1, -1}), 400, "read"),
        new Bad("malformed check-in", checkIn("p", new byte[] {0x0a, 0x7f}), 400, "read"),
        new Bad("wrong content type", create("p", TASK).with("Content-Type", "text/html"), 415, "text/html"),
        new Bad("XML", create("p", TASK).with("Content-Type", "application/xml"), 415, "application/xml"),
        new Bad("answer that nobody can give", checkIn("some%20population", CHECK_IN).with("Accept", "image/png"), 406, "Acceptable"),
        new Bad("answer of no type", checkIn("some%20population", CHECK_IN).with("Accept", "x"), 406, ""),
        new Bad("HTTP that is not implemented", create("p", TASK).withVersion("HTTP/9.9"), 400, "no valid HTTP request"),
        new Bad("page of errors", create("p", TASK).withTarget("/error"), 404, "Not Found"),
        new Bad("wrong method", create("p", TASK).withMethod("DELETE"), 405, "DELETE"),
        new Bad("unknown method", create("p", TASK).withMethod("FOO"), 405, "FOO"),
        new Bad("unknown path", create("p", TASK).withTarget("/x"), 404, ""),
        new Bad("request that is too large", create("p", new byte[(1 << 20) + 1]), 413, "1048576"),
        new Bad("unknown task", Request.of("GET", MANAGEMENT + "p/tasks/77:get", PROTOBUF, EMPTY), 404, ""),
        new Bad("task that is no number", Request.of("GET", MANAGEMENT + "p/tasks/one:get", PROTOBUF, EMPTY), 400, "task: expected"),
        new Bad("task below zero", Request.of("GET", MANAGEMENT + "p/tasks/-1:get", PROTOBUF, EMPTY), 400, "task: expected"),
        new Bad("population with a slash", create("a%2Fb", TASK), 400, "no valid HTTP request"),
        new Bad("version that is no number", create("p", task("one").toByteArray()), 400, "min_client_version"),
        new Bad("negative size", create("p", NEGATIVE), 400, "min_aggregation_size"),
        new Bad("device's version that is no number", checkIn("some%20population", checkIn("one")), 400, "version_code"),
        new Bad("assignment that is unknown", report("task/1/aggregation/4/task-assignment/x"), 404, ""),
        new Bad("assignment of another iteration", report("task/1/aggregation/5/task-assignment/" + session), 404, ""),
        new Bad("assignment of another task", report("task/2/aggregation/4/task-assignment/" + session), 404, ""),
        new Bad("iteration that is no number", report("task/1/aggregation/x/task-assignment/" + session), 400, "aggregation: expected"),
        new Bad("expired URL", put(expired), 403, "signature"),
        new Bad("altered URL", put(altered), 403, "signature"),
        new Bad("URL of another blob", put(elsewhere), 403, "signature"),
        new Bad("URL without signature", put(upload.replaceFirst("\\?.*", "")), 403, "signed URL"),
        new Bad("download by the URL of an upload", put(upload).withMethod("GET"), 403, "signature"),
        new Bad("upload without its headers", put(upload).with("Content-Type", "text/plain"), 403, "content-type"),
        new Bad("upload that is too large", put(upload).with("Content-Length", "9000000000"), 413, "at most"),
        new Bad("blob that is not there", Request.of("GET", download, PROTOBUF, EMPTY), 404, "no such blob")));
    for (String name : List.of("..", "a..b", "%2e%2e", "x".repeat(65), "a%07", "%00", "%C2%85")) {
      bad.add(new Bad("population " + name, create(name, TASK), 400, reason(name)));
      bad.add(new Bad("population of a device " + name, checkIn(name, CHECK_IN), 400, reason(name)));
    }
    return bad;
  }

  /** Tomcat itself takes no NUL. */
  private static String reason(String name) {
    return name.equals("%00") ? "no valid HTTP request" : "population: expected";
  }

  @TestFactory
  List<DynamicTest> badInputIsRefusedWithAReason() {
    return bad().stream()
        .map(bad -> DynamicTest.dynamicTest(bad.name(), () -> {
          RawHttp.Answer answer = exchange(bad.name(), bad.request().bytes());
          assertThat(answer.status()).as(answer.body()).isEqualTo(bad.status());
          assertThat(answer.body()).contains(bad.reason());
        }))
        .toList();
  }

  @Test
  void noRequestIsAnErrorOfOursOrHarms() throws Exception {
    int requests = Integer.parseInt(Optional.ofNullable(System.getenv("FUZZ_REQUESTS")).orElse("1000"));
    long seed = Long.parseLong(Optional.ofNullable(System.getenv("FUZZ_SEED")).orElse("6"));
    List<Request> templates = List.of(
        create("p", TASK),
        create("p", "{\"task\": {\"min_aggregation_size\": 1, \"max_aggregation_size\": \"2\"}}".getBytes(StandardCharsets.US_ASCII))
            .with("Content-Type", "application/json"),
        Request.of("GET", MANAGEMENT + "p/tasks/1:get", PROTOBUF, EMPTY),
        Request.of("POST", MANAGEMENT + "p/tasks/1:cancel", PROTOBUF, EMPTY),
        checkIn("some%20population", CHECK_IN),
        report("task/1/aggregation/4/task-assignment/" + assigned.getAssignmentId()),
        checkIn("some%20population", CHECK_IN).without("odp-authorization-key"),
        put(upload),
        Request.of("GET", download, PROTOBUF, EMPTY));
    List<String> failures = new ArrayList<>();
    for (int i = 0; i < requests && failures.size() < MOST_FAILURES; i++) {
      Random random = new Random(seed * 1_000_003 + i);
      Request template = templates.get(random.nextInt(templates.size()));
      byte[] bytes = new Mutation(random).apply(template);
      try {
        exchange("FUZZ_SEED=" + seed + ", request " + i, bytes);
      } catch (AssertionError failure) {
        failures.add(failure.getMessage());
      }
    }
    assertThat(failures).isEmpty();
  }

  /** Sends a request to the service that it is for, and checks what always holds. */
  private static RawHttp.Answer exchange(String name, byte[] request) throws Exception {
    boolean management = new String(request, StandardCharsets.ISO_8859_1).contains("/taskmanagement/");
    ServiceProcess service = management ? backend.management : backend.assignment;
    int port = management ? backend.managementPort : backend.assignmentPort;
    String what = name + ": " + shown(request);
    String before = backend.state();
    int logged = service.lines();

    RawHttp.Answer answer = RawHttp.send(port, request);

    if (answer.status() >= 500) {
      throw new AssertionError(what + " -> " + answer + "\n" + String.join("\n", service.linesAfter(logged, ServiceProcess.REQUEST_ENDED)));
    }
    if (answer.status() >= 400) {
      assertThat(answer.body().length()).as(what + " -> " + answer.body()).isLessThanOrEqualTo(LONGEST_BODY);
      assertThat(answer.body())
          .as(what)
          .doesNotContain("Exception", "\tat ", "org.apache", "springframework", "com.google", "java.", "Tomcat/", folder.toString());
      assertThat(backend.state()).as(what + " -> " + answer).isEqualTo(before);
    }
    // What is no request, and what asks for the state of the server, may leave no line: the line of another request ends the wait.
    int expected = 1;
    Predicate<String> last = ServiceProcess.REQUEST_ENDED;
    if (answer.status() == 0 || shown(request).matches("[A-Za-z]+ (\\*|/(healthz|ready|actuator)).*")) {
      RawHttp.send(port, Request.of("GET", "/marker", PROTOBUF, EMPTY).bytes());
      expected = 2;
      last = line -> line.contains(" GET /marker ");
    }
    List<String> lines = service.linesAfter(logged, last);
    assertThat(lines).as(what + " -> " + answer).hasSizeBetween(1, answer.status() < 400 ? 9 : expected).allSatisfy(line -> assertThat(line)
        .hasSizeLessThan(LONGEST_LINE)
        .contains(" INFO ")
        .doesNotContain("Exception", "signature=", "hush", Backend.TOKEN)
        .doesNotMatch("(?s).*\\p{Cntrl}.*"));
    return answer;
  }

  private static String shown(byte[] request) {
    String text = new String(request, 0, Math.min(request.length, 600), StandardCharsets.ISO_8859_1);
    return text.replace("\r\n", " ~ ").replaceAll("[^ -~]", "?");
  }
}

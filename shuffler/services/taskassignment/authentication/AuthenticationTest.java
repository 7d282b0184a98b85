package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.internal.federatedcompute.v1.RejectionInfo;
import com.google.internal.federatedcompute.v1.RejectionReason;
import com.google.internal.federatedcompute.v1.RetryWindow;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentResponse;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import com.google.ondevicepersonalization.federatedcompute.shuffler.testing.TestService;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Collections;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.config.annotation.InterceptorRegistry;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;

class AuthenticationTest {
  private static final String PATH = "/taskassignment/v1/population/p:create-task-assignment";
  private static final String KEY = "hush";
  private static final String CERTIFICATES = "[\"AAAA\",\"BBBB\"]";
  private static final byte[] CHALLENGE = {1, 2, (byte) 255};
  private static final String CHALLENGE_JSON = "{\"challenge\": \"" + Base64.getEncoder().encodeToString(CHALLENGE) + "\"}";
  private static final RetryWindow SOON = RetryWindow.newBuilder()
      .setDelayMin(Duration.newBuilder().setSeconds(60))
      .setDelayMax(Duration.newBuilder().setSeconds(300))
      .build();

  /** Stands for the API behind. */
  @RestController
  static final class Handler {
    @PostMapping("/taskassignment/v1/population/{population}:create-task-assignment")
    String passed() {
      return "passed";
    }
  }

  /** An answer of the attestation service. */
  private interface Answer {
    void send(HttpExchange exchange) throws IOException;
  }

  @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();

  @TempDir Path folder;
  private final TestClock clock = new TestClock();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final List<String> asked = Collections.synchronizedList(new ArrayList<>());
  private HttpServer attestation;
  private volatile Answer answer = json(200, CHALLENGE_JSON);
  private TestService service;

  @BeforeEach
  void startAttestationService() throws IOException {
    attestation = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    attestation.setExecutor(threads);
    attestation.createContext("/", exchange -> {
      String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
      String key = exchange.getRequestHeaders().getFirst("X-Goog-Api-Key");
      asked.add(exchange.getRequestMethod() + " " + exchange.getRequestURI() + " " + key + " " + body);
      answer.send(exchange);
      exchange.close();
    });
    attestation.start();
    start(URI.create("http://localhost:" + attestation.getAddress().getPort() + "/v1"), false, java.time.Duration.ofMinutes(1));
  }

  @AfterEach
  void stop() {
    service.close();
    threads.shutdownNow();
    attestation.stop(0);
  }

  private void start(URI base, boolean allowRooted, java.time.Duration bound) {
    if (service != null) {
      service.close();
    }
    AttestationService asks = new AttestationService(base, KEY, allowRooted, bound);
    service = new TestService(postgres, folder, clock, beans -> {
      beans.context().registerBean(Handler.class);
      beans.context().registerBean(WebMvcConfigurer.class, () -> new WebMvcConfigurer() {
        @Override
        public void addInterceptors(InterceptorRegistry registry) {
          AuthorizationTokens tokens = new AuthorizationTokens(beans.service().database);
          registry.addInterceptor(new Authentication(tokens, asks, new SimpleMeterRegistry(), clock)).addPathPatterns("/taskassignment/**");
        }
      });
    });
  }

  private URI base() {
    return URI.create("http://localhost:" + attestation.getAddress().getPort() + "/v1");
  }

  private static Answer json(int status, String body) {
    return exchange -> {
      byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
      exchange.getResponseBody().write(bytes);
    };
  }

  private static String record(String state, boolean locked, String name) {
    return "{\"keyDescription\":{\"teeEnforced\":{\"rootOfTrust\":{\"verifiedBootState\":\"" + state + "\",\"deviceLocked\":" + locked
        + "}},\"softwareEnforced\":{\"attestationApplicationId\":{\"packageInfos\":[{\"name\":\"" + name + "\"}]}}}}";
  }

  private HttpResponse<byte[]> ask(String token, String certificates) {
    Map<String, String> headers = new HashMap<>(Map.of("Content-Type", "application/x-protobuf"));
    if (token != null) {
      headers.put("odp-authorization-key", token);
    }
    if (certificates != null) {
      headers.put("odp-authentication-key", certificates);
    }
    return service.send("POST", PATH, headers, new byte[0]);
  }

  private static void assertPassed(HttpResponse<byte[]> answer) {
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(new String(answer.body(), StandardCharsets.UTF_8)).isEqualTo("passed");
  }

  private static void assertRejected(HttpResponse<byte[]> answer, int status, RejectionReason.Enum reason) {
    assertThat(answer.statusCode()).isEqualTo(status);
    assertThat(answer.headers().firstValue("content-type")).hasValue("application/x-protobuf");
    assertThat(TestService.message(answer, CreateTaskAssignmentResponse.parser()))
        .isEqualTo(CreateTaskAssignmentResponse.newBuilder()
            .setRejectionInfo(RejectionInfo.newBuilder().setReason(reason).setRetryWindow(SOON))
            .build());
  }

  private long tokens() {
    return service.database.query(client -> client.sql("SELECT COUNT(*) FROM allowed_authorization_token").query(Long.class).single());
  }

  @Test
  void deviceWithoutKnownTokenGetsAChallenge() {
    for (String token : new String[] {null, "", "unknown"}) {
      HttpResponse<byte[]> answer = ask(token, null);
      assertThat(answer.statusCode()).isEqualTo(401);
      RejectionInfo info = TestService.message(answer, CreateTaskAssignmentResponse.parser()).getRejectionInfo();
      assertThat(info.getReason()).isEqualTo(RejectionReason.Enum.UNAUTHENTICATED);
      assertThat(info.getAuthMetadata().getKeyAttestationMetadata().getChallenge()).isEqualTo(ByteString.copyFrom(CHALLENGE));
    }
    assertThat(asked).hasSize(3).containsOnly("POST /v1:generateChallenge hush {\"ttl\":{\"seconds\":3600}}");
  }

  @Test
  void verifiedDeviceIsKnownForSevenDays() {
    answer = json(200, record("VERIFIED", true, "com.android.federatedcompute"));
    assertPassed(ask("token", CERTIFICATES));
    assertThat(asked).singleElement().asString()
        .startsWith("POST /v1:verifyKeyAttestationRecord hush ")
        .contains("\"keyAttestationCertificateChain\":[\"AAAA\",\"BBBB\"]", "\"internalChallengeTtl\":{\"seconds\":3600}");
    answer = json(500, "");
    assertPassed(ask("token", null));
    assertThat(ask("other", null).statusCode()).isEqualTo(200);
    clock.advance(java.time.Duration.ofDays(7).minusSeconds(1));
    assertPassed(ask("token", null));
    clock.advance(java.time.Duration.ofSeconds(1));
    answer = json(200, CHALLENGE_JSON);
    assertThat(ask("token", null).statusCode()).isEqualTo(401);
  }

  @Test
  void tokenMayBeVerifiedAgainAndTheExpiredAreRemoved() {
    answer = json(200, record("VERIFIED", true, "com.google.android.federatedcompute"));
    for (int i = 0; i < 12; i++) {
      assertPassed(ask("token " + i, CERTIFICATES));
    }
    clock.advance(java.time.Duration.ofDays(8));
    assertPassed(ask("token 0", CERTIFICATES));
    assertPassed(ask("token 1", CERTIFICATES));
    assertPassed(ask("token 0", null));
    assertThat(service.database.<List<String>>query(client ->
            client.sql("SELECT token FROM allowed_authorization_token").query(String.class).list()))
        .hasSize(2)
        .allMatch(hash -> hash.matches("[0-9a-f]{64}"));
  }

  @ParameterizedTest
  @CsvSource({
    "UNVERIFIED, true, com.android.federatedcompute",
    "VERIFIED, false, com.android.federatedcompute",
    "VERIFIED, true, com.example",
    "VERIFIED, true, com.android.federatedcompute.evil",
  })
  void deviceOfAnotherKindIsRefused(String state, boolean locked, String name) {
    answer = json(200, record(state, locked, name));
    assertRejected(ask("token", CERTIFICATES), 403, RejectionReason.Enum.UNAUTHORIZED);
    assertThat(tokens()).isZero();
  }

  @Test
  void recordThatTheServiceDoesNotTakeIsRefused() {
    answer = json(400, "{\"error\": {}}");
    assertRejected(ask("token", CERTIFICATES), 403, RejectionReason.Enum.UNAUTHORIZED);
    for (String incomplete : List.of("{}", "{\"keyDescription\":7}", "{\"verificationResult\":\"FAILED\","
        + record("VERIFIED", true, "com.android.federatedcompute").substring(1))) {
      answer = json(200, incomplete);
      assertRejected(ask("token", CERTIFICATES), 403, RejectionReason.Enum.UNAUTHORIZED);
    }
    assertThat(tokens()).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "x", "{}", "[]", "[1]", "[[\"A\"]]", "[\"A\"", "null"})
  void whatIsNoRecordIsRefusedWithoutAsking(String certificates) {
    assertRejected(ask("token", certificates), 403, RejectionReason.Enum.UNAUTHORIZED);
    assertThat(asked).isEmpty();
  }

  @Test
  void rootedDevicesMayBeAllowed() {
    start(base(), true, java.time.Duration.ofMinutes(1));
    answer = json(200, record("UNVERIFIED", false, "com.android.federatedcompute"));
    assertPassed(ask("token", CERTIFICATES));
    answer = json(200, record("UNVERIFIED", false, "com.example"));
    assertRejected(ask("other", CERTIFICATES), 403, RejectionReason.Enum.UNAUTHORIZED);
  }

  @Test
  void recordWithoutTokenIsABadRequest() {
    HttpResponse<byte[]> answer = ask(null, CERTIFICATES);
    assertThat(answer.statusCode()).isEqualTo(400);
    assertThat(new String(answer.body(), StandardCharsets.UTF_8)).contains("odp-authorization-key: expected a token");
    assertThat(asked).isEmpty();
  }

  @Test
  void brokenServiceLetsNobodyIn() throws Exception {
    Answer endless = exchange -> {
      exchange.sendResponseHeaders(200, 0);
      for (int i = 0; i < 1024; i++) {
        exchange.getResponseBody().write(new byte[1024]);
      }
    };
    Answer truncated = exchange -> {
      exchange.sendResponseHeaders(200, 1000);
      exchange.getResponseBody().write('{');
    };
    List<Answer> answers = List.of(
        json(500, ""), json(403, "{}"), json(302, ""), json(200, ""), json(200, "no JSON"), json(200, "[]"), json(200, "7"), endless,
        truncated);
    for (Answer each : answers) {
      answer = each;
      assertRejected(ask("token", null), 200, RejectionReason.Enum.UNAUTHORIZED);
      assertRejected(ask("token", CERTIFICATES), 200, RejectionReason.Enum.UNAUTHENTICATED);
    }
    for (String challenge : List.of("{}", "{\"challenge\":\"\"}", "{\"challenge\":\"*\"}", "{\"challenge\":{}}")) {
      answer = json(200, challenge);
      assertRejected(ask("token", null), 200, RejectionReason.Enum.UNAUTHORIZED);
    }
    assertThat(tokens()).isZero();
  }

  @Test
  void absentServiceLetsNobodyIn() throws Exception {
    try (ServerSocket closed = new ServerSocket(0)) {
      closed.close();
      start(URI.create("http://localhost:" + closed.getLocalPort() + "/v1"), false, java.time.Duration.ofMinutes(1));
    }
    assertRejected(ask("token", null), 200, RejectionReason.Enum.UNAUTHORIZED);
    assertRejected(ask("token", CERTIFICATES), 200, RejectionReason.Enum.UNAUTHENTICATED);
  }

  @Test
  void silentServiceIsNotWaitedFor() {
    start(base(), false, java.time.Duration.ofMillis(1));
    CountDownLatch never = new CountDownLatch(1);
    answer = exchange -> {
      try {
        never.await();
      } catch (InterruptedException end) {
        Thread.currentThread().interrupt();
      }
    };
    assertRejected(ask("token", null), 200, RejectionReason.Enum.UNAUTHORIZED);
    assertRejected(ask("token", CERTIFICATES), 200, RejectionReason.Enum.UNAUTHENTICATED);
  }

  @Test
  void slowServiceDoesNotHoldThoseWhoAreKnown() throws Exception {
    answer = json(200, record("VERIFIED", true, "com.android.federatedcompute"));
    assertPassed(ask("token", CERTIFICATES));
    CountDownLatch go = new CountDownLatch(1);
    CountDownLatch waiting = new CountDownLatch(AttestationService.AT_ONCE);
    answer = exchange -> {
      waiting.countDown();
      try {
        go.await();
      } catch (InterruptedException end) {
        Thread.currentThread().interrupt();
      }
      json(200, CHALLENGE_JSON).send(exchange);
    };
    List<Future<HttpResponse<byte[]>>> slow = new ArrayList<>();
    for (int i = 0; i < AttestationService.AT_ONCE; i++) {
      slow.add(threads.submit(() -> ask("unknown", null)));
    }
    waiting.await();
    assertPassed(ask("token", null));
    assertRejected(ask("one too many", null), 200, RejectionReason.Enum.UNAUTHORIZED);
    go.countDown();
    for (Future<HttpResponse<byte[]>> each : slow) {
      assertThat(each.get().statusCode()).isEqualTo(401);
    }
  }

  @Test
  void hugeHeaderIsRefused() {
    assertThat(ask("token", "[\"" + "A".repeat(1 << 20) + "\"]").statusCode()).isBetween(400, 431);
    assertThat(asked).isEmpty();
  }

  @Test
  void pathThatIsWrittenInAnotherWayDoesNotLeadAround() {
    Map<String, String> headers = Map.of("Content-Type", "application/x-protobuf");
    for (String path : List.of("/%74askassignment/v1/population/p:create-task-assignment", "/x/..%2ftaskassignment/v1/population/p:create"
        + "-task-assignment", "//taskassignment/v1/population/p:create-task-assignment", "/taskassignment;a=b/v1/population/p:create"
        + "-task-assignment", PATH + "/", "/taskassignment/v1/./population/p:create-task-assignment")) {
      assertThat(service.send("POST", path, headers, new byte[0]).statusCode()).as(path).isBetween(400, 404);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The service that validates Android key attestation records: {@code POST <base>:generateChallenge} and {@code
 * <base>:verifyKeyAttestationRecord}.
 *
 * <p>Nobody waits for it longer than {@link #BOUND}, and not more than {@value #AT_ONCE} at the same time: the others, whose tokens are
 * known, go on.
 */
public final class AttestationService {
  /** Until the whole answer is there. */
  static final Duration BOUND = Duration.ofSeconds(10);

  static final int AT_ONCE = 16;

  /** A record with all that Android puts into it has a few kilobytes. */
  static final int LARGEST_ANSWER = 1 << 18;

  private static final Duration CONNECT = Duration.ofSeconds(5);
  private static final Map<String, Integer> HOUR = Map.of("seconds", 3600);
  private static final Set<String> PACKAGES = Set.of("com.google.android.federatedcompute", "com.android.federatedcompute");
  private static final String RESULT_OK = "KEY_ATTESTATION_RECORD_VERIFICATION_RESULT_OK";

  private final String base;
  private final String apiKey;
  private final boolean allowRooted;
  private final Duration bound;
  private final ObjectMapper json = new ObjectMapper();
  private final HttpClient client = HttpClient.newBuilder().connectTimeout(CONNECT).followRedirects(HttpClient.Redirect.NEVER).build();
  private final Semaphore free = new Semaphore(AT_ONCE);

  /**
   * Asks nothing yet.
   *
   * @param base URL without the colon and what comes after it
   * @param apiKey a secret
   * @param allowRooted whether devices are accepted that do not boot what their maker signed
   */
  public AttestationService(URI base, String apiKey, boolean allowRooted) {
    this(base, apiKey, allowRooted, BOUND);
  }

  AttestationService(URI base, String apiKey, boolean allowRooted, Duration bound) {
    this.base = base.toString();
    this.apiKey = apiKey;
    this.allowRooted = allowRooted;
    this.bound = bound;
  }

  /** A new challenge, which holds for an hour. */
  byte[] challenge() throws AttestationException {
    Answer answer = ask("generateChallenge", Map.of("ttl", HOUR));
    if (answer.status() != 200) {
      throw new AttestationException("generateChallenge: expected status 200, found " + answer.status());
    }
    byte[] challenge;
    try {
      challenge = Base64.getDecoder().decode(read(answer).path("challenge").asText());
    } catch (IllegalArgumentException malformed) {
      throw new AttestationException("generateChallenge: expected a challenge in base64, found something else");
    }
    if (challenge.length == 0) {
      throw new AttestationException("generateChallenge: expected a challenge, found none");
    }
    return challenge;
  }

  /**
   * Whether a record proves that our client runs on a device that boots what it should.
   *
   * @param record a JSON array of certificates, as the device sent it
   */
  boolean verify(String record) throws AttestationException {
    JsonNode chain;
    try {
      chain = json.readTree(record);
    } catch (JsonProcessingException malformed) {
      return false;
    }
    if (chain == null || !chain.isArray() || chain.isEmpty()) {
      return false;
    }
    for (JsonNode certificate : chain) {
      if (!certificate.isTextual()) {
        return false;
      }
    }
    Answer answer =
        ask("verifyKeyAttestationRecord", Map.of("keyAttestationCertificateChain", chain, "internalChallengeTtl", HOUR));
    return switch (answer.status()) {
      case 200 -> accepted(read(answer));
      case 400 -> false;
      default -> throw new AttestationException("verifyKeyAttestationRecord: expected status 200 or 400, found " + answer.status());
    };
  }

  private boolean accepted(JsonNode answer) {
    JsonNode key = answer.path("keyDescription");
    JsonNode root = key.path("teeEnforced").path("rootOfTrust");
    boolean booted = "VERIFIED".equals(root.path("verifiedBootState").textValue()) && root.path("deviceLocked").booleanValue();
    String name = key.path("softwareEnforced").path("attestationApplicationId").path("packageInfos").path(0).path("name").asText();
    String result = answer.path("verificationResult").asText(RESULT_OK);
    return result.equals(RESULT_OK) && (booted || allowRooted) && PACKAGES.contains(name);
  }

  private JsonNode read(Answer answer) throws AttestationException {
    try {
      JsonNode tree = json.readTree(answer.body());
      if (tree != null && tree.isObject()) {
        return tree;
      }
    } catch (IOException malformed) {
      // Told below.
    }
    throw new AttestationException("expected a JSON object, found something else");
  }

  private record Answer(int status, byte[] body) {}

  private Answer ask(String method, Map<String, ?> question) throws AttestationException {
    if (!free.tryAcquire()) {
      throw new AttestationException(method + ": " + AT_ONCE + " questions are under way, no more are asked");
    }
    CompletableFuture<HttpResponse<byte[]>> answer = null;
    try {
      HttpRequest request = HttpRequest.newBuilder(URI.create(base + ":" + method))
          .header("Content-Type", "application/json; charset=utf-8")
          .header("Accept", "application/json")
          .header("X-Goog-Api-Key", apiKey)
          .POST(HttpRequest.BodyPublishers.ofByteArray(json.writeValueAsBytes(question)))
          .build();
      answer = client.sendAsync(request, info -> new LimitedBody(LARGEST_ANSWER));
      HttpResponse<byte[]> response = answer.get(bound.toMillis(), TimeUnit.MILLISECONDS);
      return new Answer(response.statusCode(), response.body());
    } catch (TimeoutException slow) {
      answer.cancel(true);
      throw new AttestationException(method + ": no answer within " + bound.toMillis() + " ms");
    } catch (ExecutionException problem) {
      throw new AttestationException(method + ": " + problem.getCause().getClass().getSimpleName());
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new AttestationException(method + ": the service ends");
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    } finally {
      free.release();
    }
  }
}

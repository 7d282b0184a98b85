package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp.testing;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp.testing.CloudStorageServer.Refusal;
import com.sun.net.httpserver.HttpExchange;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Checks requests to V4 signed URLs, as https://cloud.google.com/storage/docs/authentication/signatures and
 * https://cloud.google.com/storage/docs/authentication/canonical-requests say.
 */
final class SignedRequest {
  private static final String ALGORITHM = "GOOG4-RSA-SHA256";
  private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
  private static final long LONGEST_SECONDS = 7 * 24 * 3600;

  private final String account;
  private final PublicKey key;
  private final Clock clock;

  SignedRequest(String account, PublicKey key, Clock clock) {
    this.account = account;
    this.key = key;
    this.clock = clock;
  }

  void check(HttpExchange exchange) throws Refusal {
    Map<String, String> query = CloudStorageServer.query(exchange);
    if (!query.keySet().equals(
        Set.of("X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders", "X-Goog-Signature"))) {
      throw new Refusal(403, "AccessDenied");
    }
    String time = query.get("X-Goog-Date");
    String scope = time.substring(0, 8) + "/auto/storage/goog4_request";
    long seconds = Long.parseLong(query.get("X-Goog-Expires"));
    if (!query.get("X-Goog-Algorithm").equals(ALGORITHM)
        || !query.get("X-Goog-Credential").equals(account + "/" + scope)
        || seconds < 1
        || seconds > LONGEST_SECONDS) {
      throw new Refusal(400, "AuthenticationRequired");
    }
    Instant signed = TIME.parse(time, Instant::from);
    if (!clock.instant().isBefore(signed.plusSeconds(seconds)) || clock.instant().isBefore(signed.minusSeconds(900))) {
      throw new Refusal(400, "ExpiredToken");
    }
    List<String> names = List.of(query.get("X-Goog-SignedHeaders").split(";"));
    if (!names.contains("host")) {
      throw new Refusal(400, "MissingSecurityHeader");
    }
    StringBuilder headers = new StringBuilder();
    for (String name : names) {
      List<String> values = exchange.getRequestHeaders().getOrDefault(name, List.of());
      headers.append(name).append(':').append(values.stream().map(String::strip).collect(Collectors.joining(","))).append('\n');
    }
    String canonicalQuery = Arrays.stream(exchange.getRequestURI().getRawQuery().split("&"))
        .filter(part -> !part.startsWith("X-Goog-Signature="))
        .sorted()
        .collect(Collectors.joining("&"));
    String canonical = String.join(
        "\n",
        exchange.getRequestMethod(),
        exchange.getRequestURI().getRawPath(),
        canonicalQuery,
        headers,
        query.get("X-Goog-SignedHeaders"),
        "UNSIGNED-PAYLOAD");
    String text = String.join("\n", ALGORITHM, time, scope, sha256(canonical));
    if (!verifies(text, query.get("X-Goog-Signature"))) {
      throw new Refusal(403, "SignatureDoesNotMatch");
    }
  }

  private boolean verifies(String text, String signature) {
    try {
      Signature verifier = Signature.getInstance("SHA256withRSA");
      verifier.initVerify(key);
      verifier.update(text.getBytes(StandardCharsets.UTF_8));
      return verifier.verify(HexFormat.of().parseHex(signature));
    } catch (GeneralSecurityException | IllegalArgumentException malformed) {
      return false;
    }
  }

  private static String sha256(String text) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (GeneralSecurityException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The public keys that a service publishes: {@code {"keys": [{"id": ..., "key": base64 of 32 bytes}]}}. */
public final class PublicKeyService implements PublicKeys {
  private static final Logger LOG = LoggerFactory.getLogger(PublicKeyService.class);
  private static final Duration FRESH = Duration.ofMinutes(480);
  private static final Duration NEXT_TRY = Duration.ofMinutes(1);

  private final URI uri;
  private final JsonClient client;
  private final Clock clock;
  private final RandomGenerator random;
  private List<PublicKey> keys = List.of();
  private Instant refresh = Instant.MIN;

  public PublicKeyService(URI uri, JsonClient client, Clock clock, RandomGenerator random) {
    this.uri = uri;
    this.client = client;
    this.clock = clock;
    this.random = random;
  }

  /** One of the keys, at random. They are fetched when they are older than eight hours; if that fails, the older ones go on. */
  @Override
  public synchronized PublicKey choose() {
    if (!clock.instant().isBefore(refresh)) {
      try {
        keys = fetch();
        refresh = clock.instant().plus(FRESH);
      } catch (KeyServiceException problem) {
        if (keys.isEmpty()) {
          throw problem;
        }
        LOG.warn("public keys are not refreshed: {}", problem.getMessage());
        refresh = clock.instant().plus(NEXT_TRY);
      }
    }
    return keys.get(random.nextInt(keys.size()));
  }

  private List<PublicKey> fetch() {
    JsonNode answer = client.get(uri, Map.of())
        .orElseThrow(() -> new KeyServiceException("public keys: expected status 200, found 404 at " + uri.getHost()));
    List<PublicKey> found = new ArrayList<>();
    for (JsonNode key : answer.path("keys")) {
      try {
        found.add(new PublicKey(key.path("id").asText(), Hpke.encrypter(Base64.getDecoder().decode(key.path("key").asText()))));
      } catch (GeneralSecurityException | IllegalArgumentException malformed) {
        throw new KeyServiceException("public keys: expected base64 of 32 bytes, found something else", malformed);
      }
    }
    if (found.isEmpty()) {
      throw new KeyServiceException("public keys: expected at least one, found none at " + uri.getHost());
    }
    return found;
  }
}

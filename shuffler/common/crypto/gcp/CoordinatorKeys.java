package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.gcp;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Hpke;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.JsonClient;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.KeyNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.KeyServiceException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.PrivateKeys;
import com.fasterxml.jackson.databind.JsonNode;
import com.google.crypto.tink.HybridDecrypt;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Private keys that two coordinators hold together: each has a half, encrypted by a key management service that releases it only to
 * images that the coordinator expects; exclusive or of the halves is a keyset of Tink.
 *
 * <p>The protocol is that of the privacy sandbox coordinators' private key service, {@code GET <base>/encryptionKeys/<id>}.
 */
public final class CoordinatorKeys implements PrivateKeys {
  private static final String TYPE = "MULTI_PARTY_HYBRID_EVEN_KEYSPLIT";
  private static final int ENTRIES = 100;
  private static final Duration KEY_LIFETIME = Duration.ofDays(7);
  private static final Duration FAILURE_LIFETIME = Duration.ofSeconds(600);
  private static final int FAILURES = 3;

  private final List<Coordinator> coordinators;
  private final JsonClient client;
  private final Clock clock;
  private final Map<String, Entry> cache = new LinkedHashMap<>(16, 0.75f, true) {
    @Override
    protected boolean removeEldestEntry(Map.Entry<String, Entry> eldest) {
      return size() > ENTRIES;
    }
  };

  /** What is known of one key. */
  private static final class Entry {
    private HybridDecrypt key;
    private Exception failure;
    private int failures;
    private Instant until = Instant.MIN;
  }

  public CoordinatorKeys(Coordinator a, Coordinator b, JsonClient client, Clock clock) {
    this.coordinators = List.of(a, b);
    this.client = client;
    this.clock = clock;
  }

  /** The key with an id. Keys are kept for a week; an id that failed three times is not asked for again for ten minutes. */
  @Override
  public HybridDecrypt find(String keyId) throws KeyNotFoundException {
    // It becomes part of a path, and whoever uploads chooses it.
    if (!keyId.matches("[A-Za-z0-9_-]{1,128}")) {
      throw new KeyNotFoundException(keyId);
    }
    Entry entry;
    synchronized (cache) {
      entry = cache.computeIfAbsent(keyId, id -> new Entry());
    }
    // Whoever needs the same key waits for one answer.
    synchronized (entry) {
      if (clock.instant().isBefore(entry.until)) {
        return result(entry);
      }
      try {
        entry.key = fetch(keyId);
        entry.failure = null;
        entry.failures = 0;
        entry.until = clock.instant().plus(KEY_LIFETIME);
      } catch (KeyNotFoundException | KeyServiceException failure) {
        entry.key = null;
        entry.failure = failure;
        entry.failures++;
        if (entry.failures >= FAILURES) {
          entry.failures = 0;
          entry.until = clock.instant().plus(FAILURE_LIFETIME);
        }
      }
      return result(entry);
    }
  }

  private static HybridDecrypt result(Entry entry) throws KeyNotFoundException {
    if (entry.failure instanceof KeyNotFoundException missing) {
      throw missing;
    }
    if (entry.failure != null) {
      throw new KeyServiceException(entry.failure.getMessage(), entry.failure);
    }
    return entry.key;
  }

  private HybridDecrypt fetch(String keyId) throws KeyNotFoundException {
    List<byte[]> halves = new ArrayList<>();
    for (Coordinator coordinator : coordinators) {
      halves.add(half(coordinator, keyId));
    }
    byte[] keyset = halves.get(0);
    byte[] other = halves.get(1);
    try {
      if (keyset.length != other.length) {
        throw new KeyServiceException("expected halves of a key of one length, found " + keyset.length + " and " + other.length + " bytes");
      }
      for (int i = 0; i < keyset.length; i++) {
        keyset[i] ^= other[i];
      }
      return Hpke.decrypter(keyset);
    } catch (GeneralSecurityException malformed) {
      throw new KeyServiceException("expected halves that make a keyset of HPKE, found something else", malformed);
    } finally {
      Arrays.fill(keyset, (byte) 0);
      Arrays.fill(other, (byte) 0);
    }
  }

  /** The half that a coordinator has; of the halves that it lists, only its own comes with key material. */
  private byte[] half(Coordinator coordinator, String keyId) throws KeyNotFoundException {
    URI uri = URI.create(coordinator.base().toString().replaceAll("/+$", "") + "/encryptionKeys/" + keyId);
    JsonNode key = client.get(uri, Map.of("Authorization", coordinator.authorization().get()))
        .orElseThrow(() -> new KeyNotFoundException(keyId));
    String type = key.path("encryptionKeyType").asText();
    if (!type.equals(TYPE)) {
      throw new KeyServiceException(uri.getHost() + ": expected a key of type " + TYPE + ", found another");
    }
    for (JsonNode data : key.path("keyData")) {
      String material = data.path("keyMaterial").asText();
      if (!material.isEmpty()) {
        try {
          return coordinator.decrypter().decrypt(data.path("keyEncryptionKeyUri").asText(), Base64.getDecoder().decode(material));
        } catch (GeneralSecurityException | IllegalArgumentException refused) {
          throw new KeyServiceException(uri.getHost() + ": its half of the key is not decrypted: is this image one that it expects?", refused);
        }
      }
    }
    throw new KeyServiceException(uri.getHost() + ": expected key data with key material, found none");
  }
}

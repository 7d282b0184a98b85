package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.JsonClient;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.KeyNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.KeyServiceException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.testing.JsonServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.auth.oauth2.AccessToken;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.crypto.tink.HybridEncrypt;
import com.google.crypto.tink.InsecureSecretKeyAccess;
import com.google.crypto.tink.KeysetHandle;
import com.google.crypto.tink.RegistryConfiguration;
import com.google.crypto.tink.TinkProtoKeysetFormat;
import com.google.crypto.tink.hybrid.HybridConfig;
import com.google.crypto.tink.hybrid.PredefinedHybridParameters;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Date;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two coordinators and their Cloud KMS on loopback, which "encrypts" by adding one to each byte. */
class CoordinatorKeysTest {
  private static final String KMS_KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
  private static final Pattern CIPHERTEXT = Pattern.compile("\"ciphertext\":\"([^\"]*)\"");

  @TempDir Path folder;

  private KeysetHandle pair;
  private byte[] halfA;
  private byte[] halfB;
  private String typeOfB = "MULTI_PARTY_HYBRID_EVEN_KEYSPLIT";
  private boolean kmsAllows = true;
  private final TestClock clock = new TestClock();
  private final JsonServer a = new JsonServer(request -> keyService(request, halfA, "MULTI_PARTY_HYBRID_EVEN_KEYSPLIT"));
  private final JsonServer b = new JsonServer(request -> keyService(request, halfB, typeOfB));
  private final JsonServer kms = new JsonServer(this::decrypt);
  private CoordinatorKeys keys;

  @BeforeEach
  void split() throws Exception {
    HybridConfig.register();
    pair = KeysetHandle.generateNew(PredefinedHybridParameters.ECIES_P256_HKDF_HMAC_SHA256_AES128_GCM);
    byte[] keyset = TinkProtoKeysetFormat.serializeKeyset(pair, InsecureSecretKeyAccess.get());
    halfA = new byte[keyset.length];
    new Random(5).nextBytes(halfA);
    halfB = keyset.clone();
    for (int i = 0; i < keyset.length; i++) {
      halfB[i] ^= halfA[i];
    }
    keys = new CoordinatorKeys(coordinator(a, "id token of a"), coordinator(b, "id token of b"), new JsonClient(), clock);
  }

  @AfterEach
  void stop() {
    a.close();
    b.close();
    kms.close();
  }

  private Coordinator coordinator(JsonServer service, String idToken) {
    GoogleCredentials attested =
        GoogleCredentials.create(new AccessToken("attested", Date.from(Instant.now().plus(Duration.ofHours(1)))));
    return new Coordinator(
        service.uri().resolve("v1alpha/"),
        () -> "Bearer " + idToken,
        GoogleCoordinators.decrypter(new NetHttpTransport(), attested, kms.uri().toString()));
  }

  private static JsonServer.Answer keyService(JsonServer.Request request, byte[] half, String type) {
    if (!request.path().endsWith("/encryptionKeys/key-1")) {
      return new JsonServer.Answer(404, "{\"code\": 5}");
    }
    byte[] encrypted = half.clone();
    for (int i = 0; i < encrypted.length; i++) {
      encrypted[i]++;
    }
    return new JsonServer.Answer(
        200,
        """
        {"name": "encryptionKeys/key-1", "encryptionKeyType": "%s", "ttlTime": 0, "unknown": {},
         "keyData": [{"publicKeySignature": "", "keyEncryptionKeyUri": "gcp-kms://other", "keyMaterial": ""},
                     {"keyEncryptionKeyUri": "gcp-kms://%s", "keyMaterial": "%s"}]}
        """.formatted(type, KMS_KEY, Base64.getEncoder().encodeToString(encrypted)));
  }

  private JsonServer.Answer decrypt(JsonServer.Request request) {
    if (!kmsAllows) {
      return new JsonServer.Answer(403, "{\"error\": {\"code\": 403, \"message\": \"image is not expected\"}}");
    }
    Matcher ciphertext = CIPHERTEXT.matcher(request.body());
    assertThat(ciphertext.find()).isTrue();
    // Google's client writes the alphabet for URLs.
    byte[] half = Base64.getUrlDecoder().decode(ciphertext.group(1));
    for (int i = 0; i < half.length; i++) {
      half[i]--;
    }
    return new JsonServer.Answer(200, "{\"plaintext\": \"" + Base64.getEncoder().encodeToString(half) + "\"}");
  }

  @Test
  void halvesOfBothCoordinatorsMakeTheKey() throws Exception {
    byte[] encrypted = pair.getPublicKeysetHandle()
        .getPrimitive(RegistryConfiguration.get(), HybridEncrypt.class)
        .encrypt("hello".getBytes(StandardCharsets.UTF_8), new byte[0]);
    assertThat(keys.find("key-1").decrypt(encrypted, new byte[0])).isEqualTo("hello".getBytes(StandardCharsets.UTF_8));
    assertThat(a.requests())
        .containsExactly(new JsonServer.Request("GET", "/v1alpha/encryptionKeys/key-1", "Bearer id token of a", ""));
    assertThat(b.requests())
        .containsExactly(new JsonServer.Request("GET", "/v1alpha/encryptionKeys/key-1", "Bearer id token of b", ""));
    assertThat(kms.requests()).hasSize(2).allMatch(request ->
        request.path().equals("/v1/" + KMS_KEY + ":decrypt") && request.authorization().equals("Bearer attested"));
  }

  @Test
  void keyIsFetchedOnceAWeek() throws Exception {
    keys.find("key-1");
    clock.advance(Duration.ofDays(7).minusSeconds(1));
    keys.find("key-1");
    assertThat(a.requests()).hasSize(1);
    clock.advance(Duration.ofSeconds(1));
    keys.find("key-1");
    assertThat(a.requests()).hasSize(2);
  }

  @Test
  void idThatFailedThreeTimesRestsForTenMinutes() {
    for (int i = 0; i < 10; i++) {
      assertThatThrownBy(() -> keys.find("key-2")).isInstanceOf(KeyNotFoundException.class);
    }
    assertThat(a.requests()).hasSize(3);
    clock.advance(Duration.ofSeconds(600));
    assertThatThrownBy(() -> keys.find("key-2")).isInstanceOf(KeyNotFoundException.class);
    assertThat(a.requests()).hasSize(4);
  }

  @Test
  void refusalOfTheKeyManagementServiceIsNoAnswerAboutTheKey() throws Exception {
    kmsAllows = false;
    assertThatThrownBy(() -> keys.find("key-1"))
        .isInstanceOf(KeyServiceException.class)
        .hasMessageContaining("is this image one that it expects?");
    kmsAllows = true;
    assertThat(keys.find("key-1")).isNotNull();
  }

  @Test
  void keysOfOnePartyAreRefused() {
    typeOfB = "SINGLE_PARTY_HYBRID_KEY";
    assertThatThrownBy(() -> keys.find("key-1"))
        .isInstanceOf(KeyServiceException.class)
        .hasMessageContaining("expected a key of type MULTI_PARTY_HYBRID_EVEN_KEYSPLIT");
  }

  @Test
  void halvesThatDoNotFitAreRefused() {
    halfB = new byte[halfA.length];
    assertThatThrownBy(() -> keys.find("key-1")).isInstanceOf(KeyServiceException.class).hasMessageContaining("expected halves that make");
    halfB = new byte[1];
    assertThatThrownBy(() -> keys.find("key-1")).isInstanceOf(KeyServiceException.class).hasMessageContaining("of one length");
  }

  @Test
  void idsThatLeadElsewhereAreNotAskedFor() {
    for (String id : new String[] {"", "../secrets", "a/b", "a?b", "a b", "x".repeat(129)}) {
      assertThatThrownBy(() -> keys.find(id)).isInstanceOf(KeyNotFoundException.class);
    }
    assertThat(a.requests()).isEmpty();
  }

  @Test
  void exchangeIsWhatGooglesLibraryReads() throws Exception {
    Path token = Files.writeString(folder.resolve("token"), "attestation");
    String json = GoogleCoordinators.exchange("projects/1/locations/global/workloadIdentityPools/p/providers/v", "s@p.iam", token.toString());
    GoogleCredentials credentials =
        GoogleCredentials.fromStream(new java.io.ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8)));
    assertThat(credentials.getClass().getSimpleName()).isEqualTo("IdentityPoolCredentials");
    assertThatThrownBy(() -> GoogleCoordinators.exchange("p\", \"x\": \"", "s", "t")).isInstanceOf(KeyServiceException.class);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Gzip;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PayloadsTest {
  private static final int LIMIT = 1 << 20;

  @TempDir Path folder;

  private LocalKeys keys;
  private Payloads payloads;

  @BeforeEach
  void useLocalKeys() {
    keys = new LocalKeys(folder);
    payloads = new Payloads(keys, keys, LIMIT);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  @Test
  void whatIsSealedIsOpened() throws Exception {
    byte[] data = new byte[100_000];
    new Random(1).nextBytes(data);
    byte[] sealed = payloads.seal(data);
    assertThat(new String(sealed, StandardCharsets.US_ASCII))
        .startsWith("{\"keyId\":\"" + keys.choose().id() + "\",\"encryptedPayload\":\"")
        .endsWith("\",\"associatedData\":\"\"}");
    assertThat(payloads.open(sealed)).isEqualTo(data);
    assertThat(payloads.seal(data)).isNotEqualTo(sealed);
  }

  @Test
  void emptyDataIsSealedAndOpened() throws Exception {
    assertThat(payloads.open(payloads.seal(new byte[0]))).isEmpty();
  }

  @Test
  void bytesThatAreNoJsonAreTakenAsTheyAre() throws Exception {
    assertThat(payloads.open(bytes("\0checkpoint"))).isEqualTo(bytes("\0checkpoint"));
    assertThat(payloads.open(new byte[0])).isEmpty();
  }

  @Test
  void anotherServiceOfTheMachineHasTheSameKey() throws Exception {
    LocalKeys other = new LocalKeys(folder);
    assertThat(new Payloads(other, other, LIMIT).open(payloads.seal(bytes("x")))).isEqualTo(bytes("x"));
    assertThat(other.published()).isEqualTo(keys.published());
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) {
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file))).isEqualTo("rw-------");
      }
    }
  }

  @Test
  void payloadOfAnotherKeyIsNotFound() {
    LocalKeys other = new LocalKeys(folder.resolve("other"));
    byte[] sealed = new Payloads(other, other, LIMIT).seal(bytes("x"));
    assertThatThrownBy(() -> payloads.open(sealed)).isInstanceOf(KeyNotFoundException.class);
  }

  @Test
  void everyAlteredByteOfThePayloadIsNoticed() throws Exception {
    EncryptedPayload sealed = EncryptedPayload.parse(payloads.seal(bytes("hello")));
    for (int i = 0; i < sealed.encryptedPayload().length; i++) {
      byte[] altered = sealed.encryptedPayload().clone();
      altered[i] ^= 1;
      byte[] json = new EncryptedPayload(sealed.keyId(), altered, sealed.associatedData()).toJson();
      assertThatThrownBy(() -> payloads.open(json)).isInstanceOf(PayloadException.class);
    }
    byte[] other = new EncryptedPayload(sealed.keyId(), sealed.encryptedPayload(), bytes("x")).toJson();
    assertThatThrownBy(() -> payloads.open(other)).isInstanceOf(PayloadException.class);
  }

  @Test
  void gzipBombIsRefused() throws Exception {
    byte[] bomb = keys.choose().encrypter().encrypt(Gzip.compress(new byte[LIMIT + 1]), new byte[0]);
    byte[] json = new EncryptedPayload(keys.choose().id(), bomb, new byte[0]).toJson();
    assertThatThrownBy(() -> payloads.open(json))
        .isInstanceOf(PayloadException.class)
        .hasMessage("decrypted payload: expected gzip data of at most 1048576 bytes, found more");
  }

  @Test
  void encryptedDataThatIsNoGzipIsRefused() throws Exception {
    byte[] plain = keys.choose().encrypter().encrypt(bytes("plain"), new byte[0]);
    byte[] json = new EncryptedPayload(keys.choose().id(), plain, new byte[0]).toJson();
    assertThatThrownBy(() -> payloads.open(json)).isInstanceOf(PayloadException.class).hasMessageContaining("expected gzip data");
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "{", "{}", "{\"keyId\":\"a\"}", "{\"keyId\":1,\"encryptedPayload\":\"\",\"associatedData\":\"\"}",
    "{\"keyId\":\"a\",\"encryptedPayload\":\"*\",\"associatedData\":\"\"}",
    "{\"keyId\":\"a\",\"encryptedPayload\":\"\",\"associatedData\":\"\"}x",
    "{\"keyId\":\"a\",\"encryptedPayload\":\"\",\"associatedData\":\"\"",
  })
  void malformedJsonIsRefused(String json) {
    assertThatThrownBy(() -> payloads.open(bytes(json)))
        .isInstanceOf(PayloadException.class)
        .isNotInstanceOf(KeyNotFoundException.class)
        .hasMessageStartingWith("expected ");
  }

  @Test
  void unknownFieldsArePassedOver() throws Exception {
    EncryptedPayload parsed = EncryptedPayload.parse(
        bytes("{\"x\":{\"keyId\":[1]},\"associatedData\":\"YQ==\",\"encryptedPayload\":\"Yg\",\"keyId\":\"k\",\"y\":null}"));
    assertThat(parsed.keyId()).isEqualTo("k");
    assertThat(parsed.encryptedPayload()).isEqualTo(bytes("b"));
    assertThat(parsed.associatedData()).isEqualTo(bytes("a"));
  }

  @Test
  void randomBytesNeverDoMoreThanBeRefused() {
    Random random = new Random(7);
    for (int i = 0; i < 2000; i++) {
      byte[] noise = new byte[random.nextInt(64)];
      random.nextBytes(noise);
      byte[] json = bytes("{\"keyId\":\"");
      byte[] start = Arrays.copyOf(json, json.length + noise.length);
      System.arraycopy(noise, 0, start, json.length, noise.length);
      assertThatThrownBy(() -> payloads.open(start)).isInstanceOf(PayloadException.class);
    }
  }

  @Test
  void damagedKeyFileIsTold() throws Exception {
    Path damaged = folder.resolve("damaged");
    Files.createDirectories(damaged);
    Files.writeString(damaged.resolve("payload.keyset"), "x");
    assertThatThrownBy(() -> new LocalKeys(damaged)).isInstanceOf(KeyServiceException.class).hasMessageContaining("expected a keyset of HPKE");
  }
}

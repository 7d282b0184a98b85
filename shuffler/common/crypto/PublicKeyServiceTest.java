package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.testing.JsonServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PublicKeyServiceTest {
  @TempDir Path folder;

  private final AtomicReference<JsonServer.Answer> answer = new AtomicReference<>();
  private final JsonServer server = new JsonServer(request -> answer.get());
  private final TestClock clock = new TestClock();
  private final PublicKeyService service = new PublicKeyService(server.uri().resolve("keys"), new JsonClient(), clock, new Random(1));

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void publishedKeyEncryptsForItsOwner() throws Exception {
    LocalKeys keys = new LocalKeys(folder);
    answer.set(new JsonServer.Answer(200, keys.published()));
    byte[] sealed = new Payloads(service, keys, 100).seal(new byte[] {1, 2});
    assertThat(new Payloads(service, keys, 100).open(sealed)).containsExactly(1, 2);
    assertThat(server.requests()).containsExactly(new JsonServer.Request("GET", "/keys", null, ""));
  }

  @Test
  void keysAreFetchedAgainAfterEightHoursAndOldOnesGoOnIfThatFails() {
    LocalKeys old = new LocalKeys(folder.resolve("old"));
    answer.set(new JsonServer.Answer(200, old.published()));
    assertThat(service.choose().id()).isEqualTo(old.choose().id());
    answer.set(new JsonServer.Answer(500, ""));
    clock.advance(Duration.ofMinutes(480));
    assertThat(service.choose().id()).isEqualTo(old.choose().id());
    assertThat(service.choose().id()).isEqualTo(old.choose().id());
    assertThat(server.requests()).hasSize(2);
    LocalKeys fresh = new LocalKeys(folder.resolve("fresh"));
    answer.set(new JsonServer.Answer(200, fresh.published()));
    clock.advance(Duration.ofMinutes(1));
    assertThat(service.choose().id()).isEqualTo(fresh.choose().id());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
    "404 | {}                                 | expected status 200, found 404",
    "503 | {}                                 | expected status 200, found 503",
    "200 | {}                                 | expected at least one, found none",
    "200 | {\"keys\":[]}                      | expected at least one, found none",
    "200 | {\"keys\":[{\"id\":\"a\",\"key\":\"AA==\"}]} | expected base64 of 32 bytes",
    "200 | {\"keys\":[{\"id\":\"a\",\"key\":\"*\"}]}    | expected base64 of 32 bytes",
    "200 | <html>                             | no answer in JSON",
  })
  void wrongAnswersAreNamed(int status, String body, String message) {
    answer.set(new JsonServer.Answer(status, body));
    assertThatThrownBy(service::choose).isInstanceOf(KeyServiceException.class).hasMessageContaining(message);
  }

  @Test
  void hugeAnswerIsRefused() {
    answer.set(new JsonServer.Answer(200, " ".repeat(1 << 21)));
    assertThatThrownBy(service::choose).isInstanceOf(KeyServiceException.class).hasMessageContaining("expected at most");
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.api.gax.retrying.RetrySettings;
import com.google.auth.oauth2.AccessToken;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.cloud.storage.HttpMethod;
import com.google.cloud.storage.Storage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.DamagedBlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.SignedUrl;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp.testing.CloudStorageServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.testing.BlobsContract;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Cloud Storage's client against a server on loopback that speaks its protocol. */
class CloudBlobsTest extends BlobsContract {
  private static final String BUCKET = "fcp-test-m-0";
  private static final int PAGE_SIZE = 20;

  private final TestClock clock = new TestClock();
  private final ServiceAccount account = new ServiceAccount(CloudStorageServer.TOKEN);
  private CloudStorageServer server;
  private CloudBlobs blobs;

  @BeforeEach
  void serve() {
    server = new CloudStorageServer(ServiceAccount.EMAIL, account.publicKey(), clock, PAGE_SIZE, BUCKET);
    blobs = new CloudBlobs(storage(account.withKey()), Optional.empty(), LIMIT);
  }

  @AfterEach
  void stop() throws Exception {
    blobs.close();
    server.close();
  }

  private Storage storage(GoogleCredentials credentials) {
    // The attempts of the real settings, without their delays.
    RetrySettings quick = CloudBlobs.options(clock).build().getRetrySettings().toBuilder()
        .setInitialRetryDelayDuration(Duration.ofMillis(1))
        .setMaxRetryDelayDuration(Duration.ofMillis(2))
        .build();
    return CloudBlobs.options(clock)
        .setHost(server.uri().toString())
        .setProjectId("test")
        .setCredentials(credentials)
        .setRetrySettings(quick)
        .build()
        .getService();
  }

  @Override
  protected Blobs blobs() {
    return blobs;
  }

  @Override
  protected void pass(Duration time) {
    clock.advance(time);
  }

  private static BlobName name(String key) {
    return new BlobName(BUCKET, key);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  @Test
  void smallFolderIsListedByOneRequest() {
    blobs.write(name("d/a/gradient"), bytes("x"));
    int before = server.requests().size();
    assertThat(blobs.folders(BUCKET, "d")).containsExactly("a");
    assertThat(server.requests()).hasSize(before + 1);
  }

  @Test
  void largeFolderIsListedInPartsWithoutLossOrRepetition() {
    List<String> all = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      // Every first letter, also those that no UUID has.
      all.add(Character.toString('!' + i % 90).replace("/", "é") + i);
    }
    for (String folder : all) {
      server.put(BUCKET, "d/" + folder + "/gradient", null, new byte[1]);
      server.put(BUCKET, "d/" + folder + "/other", null, new byte[1]);
    }
    server.put(BUCKET, "d/file", null, new byte[1]);
    server.put(BUCKET, "d2/x/y", null, new byte[1]);
    assertThat(blobs.folders(BUCKET, "d")).containsExactlyElementsOf(all.stream().sorted().toList());
  }

  @Test
  void storeThatFailsForAMomentIsAskedAgain() throws Exception {
    server.fail(3, 503);
    blobs.write(name("a"), bytes("x"));
    server.fail(3, 429);
    assertThat(blobs.read(name("a"))).isEqualTo(bytes("x"));
    server.fail(3, 500);
    assertThat(blobs.folders(BUCKET, "p")).isEmpty();
  }

  @Test
  void writeWhoseAnswerIsLostIsThereOnce() throws Exception {
    server.loseAnswers(1);
    assertThat(blobs.writeIfAbsent(name("a"), bytes("x"))).isFalse();
    assertThat(blobs.read(name("a"))).isEqualTo(bytes("x"));
    server.fail(1, 503);
    assertThat(blobs.writeIfAbsent(name("b"), bytes("y"))).isTrue();
    server.fail(1, 403);
    assertThatThrownBy(() -> blobs.writeIfAbsent(name("c"), bytes("z")))
        .isInstanceOf(BlobException.class)
        .hasMessage("cannot write gs://fcp-test-m-0/c: 403 no luck");
  }

  @Test
  void storeThatFailsForLongerIsAskedABoundedNumberOfTimes() {
    server.fail(1000, 503);
    int before = server.requests().size();
    assertThatThrownBy(() -> blobs.write(name("a"), bytes("x")))
        .isInstanceOf(BlobException.class)
        .hasMessageStartingWith("cannot write gs://fcp-test-m-0/a: 503 ")
        .hasMessageNotContaining("\n");
    assertThat(server.requests()).hasSize(before + 6);
    assertThatThrownBy(() -> blobs.check(BUCKET))
        .isInstanceOf(BlobException.class)
        .hasMessageStartingWith("cannot list gs://fcp-test-m-0: 503");
  }

  @Test
  void refusalIsToldAndNotRepeated() {
    server.fail(1000, 403);
    int before = server.requests().size();
    assertThatThrownBy(() -> blobs.exists(name("a")))
        .isInstanceOf(BlobException.class)
        .hasMessage("cannot look for gs://fcp-test-m-0/a: 403 no luck");
    assertThat(server.requests()).hasSize(before + 1);
  }

  @Test
  void contentThatIsDamagedOnTheWayIsNotUsed() {
    blobs.write(name("a"), bytes("some content"));
    server.damageDownloads();
    assertThatThrownBy(() -> blobs.read(name("a")))
        .isInstanceOf(BlobException.class)
        .isNotInstanceOf(DamagedBlobException.class)
        .hasMessageContaining("damaged on the way");
  }

  @Test
  void blobThatIsReplacedWhileItIsReadIsReadAsAWhole() throws Exception {
    blobs.write(name("a"), bytes("old"));
    server.beforeNextDownload(() -> server.put(BUCKET, "a", null, bytes("new")));
    assertThat(blobs.read(name("a"))).isEqualTo(bytes("new"));
  }

  @Test
  void otherEncodingsAreTakenAsTheyAre() throws Exception {
    server.put(BUCKET, "plain", null, bytes("plain"));
    assertThat(blobs.read(name("plain"))).isEqualTo(bytes("plain"));
    assertThat(blobs.encoding(name("plain"))).isEqualTo(Encoding.IDENTITY);
    server.put(BUCKET, "br", "br", bytes("something"));
    assertThat(blobs.read(name("br"))).isEqualTo(bytes("something"));
  }

  @Test
  void largeBlobIsNotEvenDownloaded() {
    server.put(BUCKET, "large", "gzip", new byte[LIMIT + 1]);
    assertThatThrownBy(() -> blobs.read(name("large")))
        .isInstanceOf(DamagedBlobException.class)
        .hasMessage("gs://fcp-test-m-0/large: expected at most " + LIMIT + " bytes, found " + (LIMIT + 1));
    assertThat(server.requests()).noneMatch(request -> request.contains("alt=media"));
  }

  @Test
  void bucketThatIsThereIsReady() {
    blobs.check(BUCKET);
    assertThatThrownBy(() -> blobs.check("fcp-none-m-0")).isInstanceOf(BlobException.class).hasMessageContaining("404");
    assertThatThrownBy(() -> blobs.folders("fcp-none-m-0", "p")).isInstanceOf(BlobException.class).hasMessageContaining("404");
  }

  @Test
  void serviceAccountWithoutKeySignsByIam() throws Exception {
    SignedUrl withKey = blobs.uploadUrl(name("a"), Duration.ofMinutes(1));
    try (CloudBlobs machine = new CloudBlobs(storage(account.ofMachine()), Optional.empty(), LIMIT)) {
      assertThat(machine.uploadUrl(name("a"), Duration.ofMinutes(1))).isEqualTo(withKey);
      account.refuseToSign();
      assertThatThrownBy(() -> machine.uploadUrl(name("a"), Duration.ofMinutes(1)))
          .isInstanceOf(BlobException.class)
          .hasMessageStartingWith("cannot sign a URL of gs://fcp-test-m-0/a: ")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void credentialsThatCannotSignAreNamed() throws Exception {
    GoogleCredentials user = GoogleCredentials.create(new AccessToken(CloudStorageServer.TOKEN, null));
    try (CloudBlobs others = new CloudBlobs(storage(user), Optional.empty(), LIMIT)) {
      assertThatThrownBy(() -> others.downloadUrl(name("a"), Duration.ofMinutes(1)))
          .isInstanceOf(BlobException.class)
          .hasMessageStartingWith("cannot sign a URL of gs://fcp-test-m-0/a: ");
    }
  }

  @Test
  void signedUrlNamesWhatCloudStorageNames() {
    assertThat(blobs.sign(HttpMethod.PUT, name("p/1/1/d/x/gradient"), Duration.ofSeconds(900), Map.of("content-type", "a/b")).toString())
        .startsWith(server.uri() + "/fcp-test-m-0/p/1/1/d/x/gradient?X-Goog-Algorithm=GOOG4-RSA-SHA256&")
        .contains("&X-Goog-Expires=900&", "&X-Goog-SignedHeaders=content-type%3Bhost&");
  }
}

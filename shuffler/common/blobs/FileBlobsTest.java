package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.testing.BlobsContract;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.testing.TestClock;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.support.GenericApplicationContext;

/** Blobs in a folder, with URLs that a real server serves. */
class FileBlobsTest extends BlobsContract {
  @EnableAutoConfiguration
  static class Server {}

  @TempDir Path folder;

  private final TestClock clock = new TestClock();
  private ConfigurableApplicationContext server;
  private FileBlobs blobs;
  private URI base;

  @BeforeEach
  void serve() {
    // The port is known only when the server runs, and the server needs the blobs.
    byte[] key = LocalUrls.sharedKey(folder.resolve("key"));
    Path root = folder.resolve("blobs");
    LocalUrls unsigned = new LocalUrls(URI.create("http://localhost"), key, clock);
    FileBlobs served = new FileBlobs(root, unsigned, LIMIT);
    server = new SpringApplicationBuilder(Server.class)
        .properties("server.port=0", "spring.main.banner-mode=off", "logging.level.root=warn")
        .initializers(context -> ((GenericApplicationContext) context)
            .registerBean(BlobController.class, () -> new BlobController(served, unsigned)))
        .run();
    base = URI.create("http://localhost:" + server.getEnvironment().getProperty("local.server.port"));
    blobs = new FileBlobs(root, new LocalUrls(base, key, clock), LIMIT);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Override
  protected Blobs blobs() {
    return blobs;
  }

  @Override
  protected void pass(Duration time) {
    clock.advance(time);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> all = Files.walk(folder.resolve("blobs"))) {
      return all.filter(Files::isRegularFile).toList();
    }
  }

  @Test
  void refusedUploadChangesNothing() throws Exception {
    BlobName name = new BlobName("bucket", "a");
    blobs.write(name, new byte[] {1});
    SignedUrl url = blobs.uploadUrl(name, Duration.ofMinutes(1));
    for (boolean lengthIsStated : List.of(true, false)) {
      byte[] large = new byte[LIMIT + 1];
      HttpRequest.BodyPublisher body = lengthIsStated
          ? HttpRequest.BodyPublishers.ofByteArray(large)
          : HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(large));
      HttpRequest.Builder request = HttpRequest.newBuilder(url.url()).PUT(body);
      url.headers().forEach(request::header);
      HttpResponse<String> answer = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
      assertThat(answer.statusCode()).isEqualTo(413);
      assertThat(answer.body()).contains("expected at most " + LIMIT + " bytes, found more");
    }
    assertThat(blobs.read(name)).containsExactly(1);
    assertThat(files()).hasSize(1);
  }

  @Test
  void namesThatLeadElsewhereGetNothing() throws Exception {
    List<String> paths =
        List.of("/blobs/bucket/..%2f..%2fkey", "/blobs/bucket/%2e%2e/x", "/blobs/../key/signing.key", "/blobs/bucket/", "/blobs/b");
    for (String path : paths) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(base + path + "?expires=9999999999&signature=x")).build();
      HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
      assertThat(answer.statusCode()).as(path).isBetween(400, 404);
      assertThat(answer.body()).as(path).doesNotContain("Exception", folder.toString());
    }
  }

  @Test
  void damagedFileIsNamed() throws Exception {
    Path file = folder.resolve("blobs/bucket/a");
    Files.createDirectories(file.getParent());
    Files.writeString(file, "something else that is longer than the header");
    assertThatThrownBy(() -> blobs.read(new BlobName("bucket", "a")))
        .isInstanceOf(BlobException.class)
        .hasMessageContaining("gs://bucket/a: expected a file that begins with Content-Encoding");
  }

  @Test
  void keyIsMadeOnceAndIsPrivate() throws Exception {
    Path keys = folder.resolve("keys");
    List<byte[]> found = IntStream.range(0, 8).parallel().mapToObj(i -> LocalUrls.sharedKey(keys)).toList();
    assertThat(found).allSatisfy(key -> assertThat(key).isEqualTo(found.get(0)).hasSize(32));
    try (Stream<Path> all = Files.list(keys)) {
      assertThat(all.toList()).singleElement().satisfies(file ->
          assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file))).isEqualTo("rw-------"));
    }
    assertThat(LocalUrls.sharedKey(folder.resolve("others"))).isNotEqualTo(found.get(0));
  }

  @Test
  void signedUrlShowsNoSignatureInLogs() {
    SignedUrl url = blobs.downloadUrl(new BlobName("bucket", "a"), Duration.ofMinutes(1));
    assertThat(url.toString()).isEqualTo(base + "/blobs/bucket/a?(signed)");
  }
}

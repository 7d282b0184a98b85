package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Gzip;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.SignedUrl;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What every adapter of blobs promises; its test extends this, and serves the URLs that it signs. */
public abstract class BlobsContract {
  /** Blobs are not larger here. */
  protected static final int LIMIT = 100_000;

  private static final String BUCKET = "fcp-test-m-0";
  private static final Duration MINUTE = Duration.ofMinutes(1);

  /** The adapter, without any blobs. */
  protected abstract Blobs blobs();

  /** Lets a time pass for the clock that URLs expire by. */
  protected abstract void pass(Duration time);

  private static BlobName name(String key) {
    return new BlobName(BUCKET, key);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static HttpResponse<byte[]> request(String method, URI url, Map<String, String> headers, byte[] body) {
    HttpRequest.Builder request = HttpRequest.newBuilder(url).method(method, HttpRequest.BodyPublishers.ofByteArray(body));
    headers.forEach(request::header);
    try {
      return HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
    } catch (IOException | InterruptedException problem) {
      throw new IllegalStateException(problem);
    }
  }

  private static HttpResponse<byte[]> put(SignedUrl url, byte[] body) {
    return request("PUT", url.url(), url.headers(), body);
  }

  private static HttpResponse<byte[]> get(SignedUrl url) {
    // Cloud Storage decompresses for those who do not say that they can.
    return request("GET", url.url(), Map.of("accept-encoding", "gzip"), new byte[0]);
  }

  @Test
  public void whatIsWrittenIsRead() throws Exception {
    for (String key : List.of("p/1/0/s/0/checkpoint", "a", "with space/ü/%2e%2e/'\";?#&=+", "..hidden/.x")) {
      blobs().write(name(key), bytes("content of " + key));
      assertThat(blobs().read(name(key))).isEqualTo(bytes("content of " + key));
      assertThat(blobs().exists(name(key))).isTrue();
      assertThat(blobs().encoding(name(key))).isEqualTo(Encoding.GZIP);
    }
  }

  @Test
  public void lastWriteWins() throws Exception {
    blobs().write(name("a"), bytes("first, and longer"));
    blobs().write(name("a"), bytes("second"));
    assertThat(blobs().read(name("a"))).isEqualTo(bytes("second"));
    blobs().write(name("a"), new byte[0]);
    assertThat(blobs().read(name("a"))).isEmpty();
  }

  @Test
  public void firstWriteWinsIfItIsToBeAbsent() throws Exception {
    assertThat(blobs().writeIfAbsent(name("p/a"), bytes("first"))).isTrue();
    assertThat(blobs().writeIfAbsent(name("p/a"), bytes("second, and longer"))).isFalse();
    assertThat(blobs().read(name("p/a"))).isEqualTo(bytes("first"));
    assertThat(blobs().encoding(name("p/a"))).isEqualTo(Encoding.GZIP);
    blobs().write(name("p/a"), bytes("third"));
    assertThat(blobs().writeIfAbsent(name("p/a"), bytes("first"))).isFalse();
    assertThat(blobs().read(name("p/a"))).isEqualTo(bytes("third"));
  }

  @Test
  public void ofWritesAtTheSameTimeOneFindsNothingThere() throws Exception {
    int writers = 8;
    ExecutorService threads = Executors.newFixedThreadPool(writers);
    try {
      for (int round = 0; round < 5; round++) {
        BlobName name = name("p/" + round);
        List<Callable<Boolean>> calls = IntStream.range(0, writers)
            .<Callable<Boolean>>mapToObj(i -> () -> blobs().writeIfAbsent(name, bytes("of " + i)))
            .toList();
        List<Boolean> stored = new ArrayList<>();
        for (Future<Boolean> end : threads.invokeAll(calls)) {
          stored.add(end.get());
        }
        assertThat(stored).containsOnlyOnce(true);
        assertThat(blobs().read(name)).isEqualTo(bytes("of " + stored.indexOf(true)));
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  public void missingBlobIsSaidToBeMissing() {
    blobs().write(name("a/b"), bytes("x"));
    for (BlobName missing : List.of(name("c"), name("a"), name("a/b/c"), name("a/c"), new BlobName("fcp-other-m-0", "a/b"))) {
      assertThat(blobs().exists(missing)).as(missing.toString()).isFalse();
      assertThatThrownBy(() -> blobs().read(missing)).isInstanceOf(BlobNotFoundException.class).hasMessage("no blob " + missing);
      assertThatThrownBy(() -> blobs().encoding(missing)).isInstanceOf(BlobNotFoundException.class);
    }
  }

  @Test
  public void foldersAreListedSortedAndOnce() {
    for (String key : List.of("p/1/1/d/b/gradient", "p/1/1/d/a/gradient", "p/1/1/d/a/other", "p/1/1/d/file", "p/1/2/d/c/gradient")) {
      blobs().write(name(key), bytes("x"));
    }
    assertThat(blobs().folders(BUCKET, "p/1/1/d")).containsExactly("a", "b");
    assertThat(blobs().folders(BUCKET, "p/1/3/d")).isEmpty();
    assertThat(blobs().folders(BUCKET, "p/1/1/d/file")).isEmpty();
  }

  @Test
  public void deviceUploadsWithTheSignedHeaders() throws Exception {
    SignedUrl url = blobs().uploadUrl(name("p/1/1/d/a/gradient"), MINUTE);
    assertThat(url.headers())
        .isEqualTo(Map.of("content-type", "application/octet-stream", "content-encoding", "gzip"))
        .isEqualTo(Blobs.UPLOAD_HEADERS);
    assertThat(put(url, Gzip.compress(bytes("gradient"))).statusCode()).isEqualTo(200);
    assertThat(blobs().read(name("p/1/1/d/a/gradient"))).isEqualTo(bytes("gradient"));
    // Mobile networks repeat requests.
    assertThat(put(url, Gzip.compress(bytes("gradient"))).statusCode()).isEqualTo(200);
    assertThat(blobs().read(name("p/1/1/d/a/gradient"))).isEqualTo(bytes("gradient"));
  }

  @Test
  public void deviceDownloadsWhatIsStored() {
    blobs().write(name("with space/ü"), bytes("plan"));
    HttpResponse<byte[]> answer = get(blobs().downloadUrl(name("with space/ü"), MINUTE));
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.headers().firstValue("content-encoding")).contains("gzip");
    assertThat(Gzip.decompress(answer.body(), LIMIT)).isEqualTo(bytes("plan"));
    assertThat(get(blobs().downloadUrl(name("missing"), MINUTE)).statusCode()).isEqualTo(404);
  }

  @Test
  public void urlAllowsOneThingWithOneBlobForATime() {
    blobs().write(name("a"), bytes("a"));
    blobs().write(name("b"), bytes("b"));
    SignedUrl download = blobs().downloadUrl(name("a"), MINUTE);
    SignedUrl upload = blobs().uploadUrl(name("a"), MINUTE);
    assertThat(request("PUT", download.url(), Blobs.UPLOAD_HEADERS, Gzip.compress(bytes("evil"))).statusCode()).isBetween(400, 403);
    assertThat(request("GET", upload.url(), Map.of(), new byte[0]).statusCode()).isBetween(400, 403);
    assertThat(request("PUT", upload.url(), Map.of("content-type", "text/plain", "content-encoding", "gzip"), new byte[1]).statusCode())
        .isBetween(400, 403);
    assertThat(request("GET", URI.create(download.url().toString().replace("/a?", "/b?")), Map.of(), new byte[0]).statusCode())
        .isBetween(400, 403);
    assertThat(request("GET", URI.create(download.url().toString().replaceFirst("\\?.*", "")), Map.of(), new byte[0]).statusCode())
        .isBetween(400, 403);
    assertThat(get(download).statusCode()).isEqualTo(200);
    pass(MINUTE.plusSeconds(1));
    assertThat(get(download).statusCode()).isBetween(400, 403);
    assertThat(put(upload, Gzip.compress(bytes("late"))).statusCode()).isBetween(400, 403);
  }

  @Test
  public void damagedOrHugeContentIsRefusedWhenRead() {
    put(blobs().uploadUrl(name("damaged"), MINUTE), bytes("no gzip"));
    assertThatThrownBy(() -> blobs().read(name("damaged"))).isInstanceOf(BlobException.class).hasMessageContaining("expected gzip data");
    byte[] whole = Gzip.compress(bytes("some content that is cut"));
    put(blobs().uploadUrl(name("cut"), MINUTE), java.util.Arrays.copyOf(whole, whole.length - 9));
    assertThatThrownBy(() -> blobs().read(name("cut"))).isInstanceOf(BlobException.class);
    put(blobs().uploadUrl(name("bomb"), MINUTE), Gzip.compress(new byte[LIMIT + 1]));
    assertThatThrownBy(() -> blobs().read(name("bomb"))).isInstanceOf(BlobException.class).hasMessageContaining("at most " + LIMIT);
  }

  @Test
  public void namesThatLeadElsewhereAreRefused() {
    for (String key : List.of("", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\nb", "x".repeat(1025))) {
      assertThatThrownBy(() -> name(key)).as(key).isInstanceOf(IllegalArgumentException.class);
    }
    for (String bucket : List.of("", "..", "a/b", "UPPER", "-a-", "a..b", ".new")) {
      assertThatThrownBy(() -> new BlobName(bucket, "a")).as(bucket).isInstanceOf(IllegalArgumentException.class);
    }
  }
}

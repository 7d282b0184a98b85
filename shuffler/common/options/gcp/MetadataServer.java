package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.gcp;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** What Google Cloud tells a machine about itself: https://cloud.google.com/compute/docs/metadata/querying-metadata. */
final class MetadataServer {
  static final URI ADDRESS = URI.create("http://metadata.google.internal");

  private static final String FLAVOR = "Metadata-Flavor";
  private static final Duration WAIT = Duration.ofSeconds(5);
  private static final int LARGEST = 4096;

  // GKE's answers a few seconds after a pod has started.
  private static final int ATTEMPTS = 5;

  private final HttpClient client = HttpClient.newBuilder().connectTimeout(WAIT).followRedirects(HttpClient.Redirect.NEVER).build();
  private final URI address;
  private final Duration pause;

  MetadataServer(URI address, Duration pause) {
    this.address = address;
    this.pause = pause;
  }

  /**
   * Reads an entry.
   *
   * @param path below {@code /computeMetadata/v1/}
   * @return nothing if there is no such entry, or it is empty
   * @throws CloudOptionsException if there is no answer, or none of a metadata server
   */
  Optional<String> get(String path) {
    for (int attempt = 1; ; attempt++) {
      try {
        return ask(path);
      } catch (IOException problem) {
        if (attempt == ATTEMPTS) {
          String why = problem.getMessage() == null ? problem.getClass().getSimpleName() : problem.getMessage();
          throw new CloudOptionsException("metadata server: " + path + ": expected an answer, found none: " + why, problem);
        }
      }
      try {
        TimeUnit.NANOSECONDS.sleep(pause.toNanos());
      } catch (InterruptedException stop) {
        Thread.currentThread().interrupt();
        throw new CloudOptionsException("metadata server: interrupted", stop);
      }
    }
  }

  private Optional<String> ask(String path) throws IOException {
    HttpRequest request =
        HttpRequest.newBuilder(address.resolve("/computeMetadata/v1/" + path)).header(FLAVOR, "Google").timeout(WAIT).build();
    try {
      HttpResponse<InputStream> answer = client.send(request, HttpResponse.BodyHandlers.ofInputStream());
      try (InputStream body = answer.body()) {
        if (!answer.headers().firstValue(FLAVOR).equals(Optional.of("Google"))) {
          throw new IOException("the header " + FLAVOR + ": Google is missing");
        }
        if (answer.statusCode() == 404) {
          return Optional.empty();
        }
        if (answer.statusCode() != 200) {
          throw new IOException("status " + answer.statusCode());
        }
        byte[] content = body.readNBytes(LARGEST + 1);
        if (content.length > LARGEST) {
          throw new IOException("more than " + LARGEST + " bytes");
        }
        return Optional.of(new String(content, StandardCharsets.UTF_8)).filter(text -> !text.isEmpty());
      }
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new CloudOptionsException("metadata server: interrupted", stop);
    }
  }
}

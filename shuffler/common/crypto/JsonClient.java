package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/** Asks services of keys for small JSON documents. */
public final class JsonClient {
  private static final Duration WAIT = Duration.ofMinutes(1);
  private static final int LARGEST = 1 << 20;

  private final HttpClient client = HttpClient.newBuilder().connectTimeout(WAIT).followRedirects(HttpClient.Redirect.NEVER).build();
  private final ObjectMapper mapper = new ObjectMapper();

  /**
   * GETs a document.
   *
   * @param headers of the request
   * @return nothing if the answer is 404
   * @throws KeyServiceException if there is no answer, another status than 200, or no JSON of a sensible size
   */
  public Optional<JsonNode> get(URI uri, Map<String, String> headers) {
    HttpRequest.Builder request = HttpRequest.newBuilder(uri).timeout(WAIT);
    headers.forEach(request::header);
    try {
      HttpResponse<InputStream> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
      try (InputStream body = answer.body()) {
        if (answer.statusCode() == 404) {
          return Optional.empty();
        }
        if (answer.statusCode() != 200) {
          throw new KeyServiceException(uri.getHost() + ": expected status 200, found " + answer.statusCode());
        }
        byte[] content = body.readNBytes(LARGEST + 1);
        if (content.length > LARGEST) {
          throw new KeyServiceException(uri.getHost() + ": expected at most " + LARGEST + " bytes, found more");
        }
        return Optional.of(mapper.readTree(content));
      }
    } catch (IOException problem) {
      throw new KeyServiceException(uri.getHost() + ": no answer in JSON: " + problem.getClass().getSimpleName(), problem);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new KeyServiceException(uri.getHost() + ": interrupted", stop);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.testing;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import java.util.zip.GZIPInputStream;

/** A server on loopback that answers with JSON, and remembers what it was asked. */
public final class JsonServer implements AutoCloseable {
  /** A request. */
  public record Request(String method, String path, String authorization, String body) {}

  /** An answer. */
  public record Answer(int status, String body) {}

  private final HttpServer server;
  private final List<Request> requests = Collections.synchronizedList(new ArrayList<>());

  /** Serves; HANDLER may be called side by side. */
  public JsonServer(Function<Request, Answer> handler) {
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    server.createContext("/", exchange -> {
      boolean gzip = "gzip".equals(exchange.getRequestHeaders().getFirst("Content-Encoding"));
      InputStream content = gzip ? new GZIPInputStream(exchange.getRequestBody()) : exchange.getRequestBody();
      String body = new String(content.readAllBytes(), StandardCharsets.UTF_8);
      Request request = new Request(
          exchange.getRequestMethod(),
          exchange.getRequestURI().toString(),
          exchange.getRequestHeaders().getFirst("Authorization"),
          body);
      requests.add(request);
      Answer answer = handler.apply(request);
      byte[] json = answer.body().getBytes(StandardCharsets.UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.sendResponseHeaders(answer.status(), json.length == 0 ? -1 : json.length);
      exchange.getResponseBody().write(json);
      exchange.close();
    });
    server.start();
  }

  /** Where it is, with a slash at the end. */
  public URI uri() {
    return URI.create("http://localhost:" + server.getAddress().getPort() + "/");
  }

  /** What it was asked so far. */
  public List<Request> requests() {
    return List.copyOf(requests);
  }

  @Override
  public void close() {
    server.stop(0);
  }
}

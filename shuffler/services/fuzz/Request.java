package com.google.ondevicepersonalization.federatedcompute.shuffler.fuzz;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * A request in parts, which need not fit together.
 *
 * @param headers lines
 */
record Request(String method, String target, String version, List<String> headers, byte[] body) {
  /** A request as clients send it. */
  static Request of(String method, String target, String contentType, byte[] body) {
    return new Request(
        method,
        target,
        "HTTP/1.1",
        List.of(
            "Host: localhost",
            "Connection: close",
            "odp-authorization-key: " + Backend.TOKEN,
            "Content-Type: " + contentType,
            "Content-Length: " + body.length),
        body);
  }

  /** The same with another header; one of that name is replaced. */
  Request with(String name, String value) {
    List<String> changed = new ArrayList<>(without(name).headers);
    changed.add(name + ": " + value);
    return new Request(method, target, version, changed, body);
  }

  Request without(String name) {
    return new Request(
        method, target, version, headers.stream().filter(line -> !line.toLowerCase().startsWith(name.toLowerCase() + ":")).toList(), body);
  }

  Request withMethod(String method) {
    return new Request(method, target, version, headers, body);
  }

  Request withTarget(String target) {
    return new Request(method, target, version, headers, body);
  }

  Request withVersion(String version) {
    return new Request(method, target, version, headers, body);
  }

  Request withHeaders(List<String> headers) {
    return new Request(method, target, version, List.copyOf(headers), body);
  }

  /** The same with another body, and the length of that one. */
  Request withBody(byte[] body) {
    return new Request(method, target, version, headers, body).with("Content-Length", Integer.toString(body.length));
  }

  /** The same with a body whose length is not told before. */
  Request withChunks(String body) {
    return new Request(method, target, version, headers, body.getBytes(StandardCharsets.ISO_8859_1))
        .without("Content-Length")
        .with("Transfer-Encoding", "chunked");
  }

  byte[] bytes() {
    return RawHttp.request(method + " " + target + " " + version, headers, body);
  }
}

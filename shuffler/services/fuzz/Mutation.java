package com.google.ondevicepersonalization.federatedcompute.shuffler.fuzz;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Damages requests: each part by what once broke a server, or by chance. */
final class Mutation {
  private static final List<String> METHODS = List.of(
      "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "FOO", "G\u0000T", "",
      "A".repeat(9000));
  private static final List<String> VERSIONS = List.of(
      "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/9.9", "HTTP/11", "XTTP/1.1", "HTTP/1.1 x", "", "http/1.1");
  private static final List<String> WORDS = List.of(
      "..", ".", "%2e%2e", "%2E%2E%2f", "a%2Fb", "a%5Cb", "%00", "%0d%0aX:y", "%07", "%7f", "%", "%z", "%zz", "%c0%af", "%ff",
      "%ed%a0%80", "%F0%9F%98%80", "%20", "+", "a b", "a;b=c", ";jsessionid=1", "a?b", "a#b", "a\\b", "a|b", "<script>", "{x}",
      "${jndi:ldap://x}", "'--", "*", "\u00e9", "\u0001", "-1", "0", "00", "1e3", "0x1", "1.5", "9223372036854775807",
      "9223372036854775808", "99999999999999999999", "\u0661", "%D9%A1", "NaN", "null", "", "x".repeat(65), "x".repeat(5000),
      "%41".repeat(3000), ":create-task", ":get", "%3Acreate-task");
  private static final List<String> TARGETS = List.of(
      "*", "/", "//", "", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/error", "/error?x=1", "/actuator",
      "/actuator/env", "/actuator/heapdump", "/actuator/prometheus", "/actuator/health/x", "/healthz", "/healthz/", "/ready?x",
      "/favicon.ico", "/WEB-INF/web.xml", "/META-INF/MANIFEST.MF", "/blobs", "/blobs/", "/blobs/a", "/blobs//",
      "/blobs/fcp-local-m-0/..", "/blobs/fcp-local-m-0/%2e%2e/%2e%2e/signing.key?expires=9&signature=x",
      "/blobs/UPPER/x?expires=1&signature=1", "/blobs/b.c/x?expires=99999999999999&signature=%00",
      "/blobs/fcp-local-m-0/x?expires=1&expires=2&signature=a&signature=b", "http://other.example/healthz", "http://",
      "other.example:443", "/?" + "a=b&".repeat(3000), "/a?%zz=%", "/a?=&&=");
  private static final List<String> HEADERS = List.of(
      "Content-Type: ", "Content-Type: /", "Content-Type: text/plain", "Content-Type: application/json",
      "Content-Type: application/xml", "Content-Type: application/x-protobuf; charset=nonsense",
      "Content-Type: application/x-protobuf; a=\"", "Content-Type: */*", "Content-Type: multipart/form-data; boundary=",
      "Content-Type: multipart/form-data; boundary=x", "Content-Type: application/x-www-form-urlencoded",
      "Content-Type: application/vnd.google.protobuf", "Content-Type: \u00e9",
      "Content-Type: application/x-protobuf; messageType=x", "Accept: text/html", "Accept: application/json",
      "Accept: application/xml", "Accept: text/plain", "Accept: image/png", "Accept: x", "Accept: */*;q=2", "Accept: ;;",
      "Accept: application/x-protobuf;q=0", "Accept-Charset: nonsense", "Accept-Encoding: gzip;q=x, br",
      "Accept-Language: " + "x-".repeat(4000), "Content-Length: -1", "Content-Length: 0", "Content-Length: 1",
      "Content-Length: 7", "Content-Length: 300000000", "Content-Length: 99999999999999999999", "Content-Length: x",
      "Content-Length: 1, 1", "Content-Length: +1", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip",
      "Transfer-Encoding: identity", "Transfer-Encoding: foo", "Transfer-Encoding: chunked, chunked", "Content-Encoding: gzip",
      "Content-Encoding: nonsense", "Content-Range: bytes 0-1/2", "Expect: 100-continue", "Expect: nonsense", "Range: bytes=0-0",
      "Range: bytes=9-1", "Range: x", "If-None-Match: \"", "If-Modified-Since: x", "Host: ", "Host: a b", "Host: x:99999",
      "Host: [::1", "Host: ../..", "Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket", "HTTP2-Settings: x",
      "Cookie: a=\"; =", "Cookie: JSESSIONID=x", "Authorization: Basic x", "Origin: null", "Origin: x", "X-Forwarded-For: x",
      "X-Forwarded-Proto: x", "X-Forwarded-Port: x", "Forwarded: for=\"", "X-HTTP-Method-Override: FOO",
      "Access-Control-Request-Method: FOO", "odp-authorization-key: ", "odp-authorization-key: unknown",
      "odp-authorization-key: " + "x".repeat(9000), "odp-authentication-key: []", "odp-authentication-key: [\"AAAA\"]",
      "odp-authentication-key: {", "odp-authentication-key: " + "[".repeat(9000), "odp-correlation-id: x\ty",
      "odp-correlation-id: \u00ff", "odp-correlation-id: ${env:HOME} {} %n", "no colon", ": no name", "a b: c", " folded: x",
      "X: \u0000", "X: a\rb", "X\u00e9: y");
  private static final List<String> CHUNKS = List.of(
      "0\r\n\r\n", "1\r\n", "1\r\na", "x\r\n", "-1\r\na\r\n0\r\n\r\n", "ffffffffffffffff\r\na", "7fffffff\r\na",
      "1;a=b\r\na\r\n0\r\n\r\n", "1\r\na\r\n0\r\nTrailer: x\r\n\r\n", "1\r\na\r\n0\r\nno colon\r\n\r\n", "2\r\na\r\n0\r\n\r\n",
      "1\na\n0\n\n", "");
  private static final List<String> WHOLE = List.of(
      "", "\r\n\r\n", "\n", "GET", "GET /", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
      "GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\u0000".repeat(1000), "SSH-2.0-x\r\n",
      "x".repeat(40_000));

  private final Random random;

  Mutation(Random random) {
    this.random = random;
  }

  /** The bytes of a request with up to three things wrong. */
  byte[] apply(Request request) {
    if (random.nextInt(25) == 0) {
      return pick(WHOLE).getBytes(StandardCharsets.ISO_8859_1);
    }
    Request changed = request;
    for (int i = random.nextInt(4); i > 0; i--) {
      changed = once(changed);
    }
    byte[] bytes = changed.bytes();
    return random.nextInt(20) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length)) : bytes;
  }

  private Request once(Request request) {
    return switch (random.nextInt(12)) {
      case 0 -> request.withMethod(pick(METHODS));
      case 1 -> request.withVersion(pick(VERSIONS));
      case 2 -> request.withTarget(pick(TARGETS));
      case 3 -> request.withTarget(text(request.target()));
      case 4, 5 -> request.withTarget(segment(request.target()));
      case 6, 7 -> header(request);
      case 8 -> request.withChunks(pick(CHUNKS));
      case 9 -> many(request);
      default -> request.withBody(body(request.body()));
    };
  }

  private Request header(Request request) {
    String line = pick(HEADERS);
    List<String> lines = new ArrayList<>(request.headers());
    int name = line.indexOf(':');
    if (name > 0 && random.nextInt(4) > 0) {
      lines.removeIf(other -> other.toLowerCase().startsWith(line.substring(0, name + 1).toLowerCase()));
    }
    if (random.nextInt(8) == 0 && !lines.isEmpty()) {
      lines.remove(random.nextInt(lines.size()));
    }
    lines.add(random.nextInt(lines.size() + 1), line);
    return request.withHeaders(lines);
  }

  /** Many headers, or large ones: below and above the limit. */
  private Request many(Request request) {
    List<String> lines = new ArrayList<>(request.headers());
    int count = 1 + random.nextInt(120);
    String value = "v".repeat(random.nextInt(random.nextBoolean() ? 20 : 40_000) / count + 1);
    for (int i = 0; i < count; i++) {
      lines.add("X-" + i + ": " + value);
    }
    return request.withHeaders(lines);
  }

  private String segment(String target) {
    String[] segments = target.split("/", -1);
    int at = random.nextInt(segments.length);
    String word = pick(WORDS);
    int colon = segments[at].indexOf(':');
    segments[at] = colon >= 0 && random.nextBoolean() ? word + segments[at].substring(colon) : word;
    return String.join("/", segments);
  }

  private String text(String text) {
    return new String(bytes(text.getBytes(StandardCharsets.ISO_8859_1)), StandardCharsets.ISO_8859_1).replace("\n", "?");
  }

  private byte[] body(byte[] body) {
    return switch (random.nextInt(8)) {
      // Groups within groups, which parsers of protobuf skip by recursion.
      case 0 -> filled(10_000, (byte) 0x0b);
      case 1 -> "[".repeat(50_000).getBytes(StandardCharsets.US_ASCII);
      case 2 -> "{\"task\":".repeat(5_000).getBytes(StandardCharsets.US_ASCII);
      case 3 -> filled(2 << 20, (byte) 0x0a);
      // A field whose length is beyond the end, or negative.
      case 4 -> new byte[] {0x0a, -1, -1, -1, -1, (byte) (random.nextBoolean() ? 0x07 : 0x0f)};
      case 5 -> {
        byte[] any = new byte[random.nextInt(200)];
        random.nextBytes(any);
        yield any;
      }
      default -> bytes(body);
    };
  }

  /** A few bytes changed, removed or added. */
  private byte[] bytes(byte[] original) {
    byte[] changed = original.clone();
    for (int i = 1 + random.nextInt(3); i > 0; i--) {
      int at = random.nextInt(changed.length + 1);
      switch (random.nextInt(3)) {
        case 0 -> changed = Arrays.copyOf(changed, at);
        case 1 -> {
          changed = Arrays.copyOf(changed, changed.length + 1);
          System.arraycopy(changed, at, changed, at + 1, changed.length - 1 - at);
          changed[at] = (byte) random.nextInt();
        }
        default -> {
          if (at < changed.length) {
            changed[at] = (byte) random.nextInt();
          }
        }
      }
    }
    return changed;
  }

  private static byte[] filled(int count, byte octet) {
    byte[] filled = new byte[count];
    Arrays.fill(filled, octet);
    return filled;
  }

  private <T> T pick(List<T> list) {
    return list.get(random.nextInt(list.size()));
  }
}

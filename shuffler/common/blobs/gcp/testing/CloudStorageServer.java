package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp.testing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.PublicKey;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import java.util.zip.GZIPInputStream;

/**
 * Cloud Storage on loopback: the part of its JSON API that stores, reads and lists objects
 * (https://cloud.google.com/storage/docs/json_api), and V4 signed URLs of its XML API. Strict: what it does not know, it refuses. There is
 * one service account; its requests bear {@link #TOKEN}.
 */
public final class CloudStorageServer implements AutoCloseable {
  /** The access token of the service account. */
  public static final String TOKEN = "token-of-the-service-account";

  private static final String JSON = "application/json; charset=UTF-8";
  private static final String OBJECTS = "/storage/v1/b/";
  private static final String UPLOADS = "/upload/storage/v1/b/";
  private static final String DOWNLOADS = "/download/storage/v1/b/";

  private static final Set<String> LIST_PARAMETERS =
      Set.of("alt", "delimiter", "endOffset", "fields", "maxResults", "pageToken", "prefix", "prettyPrint", "projection", "startOffset");

  /** An object. */
  private record Stored(byte[] content, String type, String encoding, long generation) {}

  /** An answer other than what was asked for. */
  static final class Refusal extends Exception {
    private static final long serialVersionUID = 1;

    private final int status;

    Refusal(int status, String message) {
      super(message);
      this.status = status;
    }
  }

  private final ObjectMapper json = new ObjectMapper();
  private final Map<String, NavigableMap<String, Stored>> buckets = new TreeMap<>();
  private final List<String> requests = new ArrayList<>();
  private final HttpServer server;
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final SignedRequest signed;
  private final int pageSize;
  private long generation = 1;
  private int failures;
  private int failureStatus;
  private int loseAnswers;
  private boolean damage;
  private Runnable beforeDownload = () -> {};

  /**
   * Serves.
   *
   * @param account name of the service account
   * @param key that its signatures fit
   * @param clock by which signed URLs expire
   * @param pageSize most names in one answer; 1000 in Cloud Storage
   */
  public CloudStorageServer(String account, PublicKey key, Clock clock, int pageSize, String... buckets) {
    this.signed = new SignedRequest(account, key, clock);
    this.pageSize = pageSize;
    for (String bucket : buckets) {
      // Names are ordered by their bytes in UTF-8.
      this.buckets.put(bucket, new TreeMap<>((a, b) ->
          Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8))));
    }
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    server.setExecutor(threads);
    server.createContext("/", this::handle);
    server.start();
  }

  /** Where it is. */
  public URI uri() {
    return URI.create("http://localhost:" + server.getAddress().getPort());
  }

  /** Requests so far: method, path and query. */
  public synchronized List<String> requests() {
    return List.copyOf(requests);
  }

  /** The next requests fail. */
  public synchronized void fail(int times, int status) {
    failures = times;
    failureStatus = status;
  }

  /** The next uploads are done, and answered as if they had failed. */
  public synchronized void loseAnswers(int times) {
    loseAnswers = times;
  }

  /** Flips a bit of each download. */
  public synchronized void damageDownloads() {
    damage = true;
  }

  /** Runs something between the next look at metadata and the download that follows. */
  public synchronized void beforeNextDownload(Runnable action) {
    beforeDownload = action;
  }

  /** Stores an object as it is. */
  public synchronized void put(String bucket, String key, String encoding, byte[] content) {
    buckets.get(bucket).put(key, new Stored(content, "application/octet-stream", encoding, generation++));
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      byte[] body = exchange.getRequestBody().readAllBytes();
      String path = exchange.getRequestURI().getRawPath();
      boolean json = List.of(OBJECTS, UPLOADS, DOWNLOADS).stream().anyMatch(path::startsWith);
      if (path.startsWith(DOWNLOADS)) {
        takeBeforeDownload().run();
      }
      try {
        answer(exchange, body);
      } catch (Refusal refusal) {
        String text = json
            ? "{\"error\": {\"code\": " + refusal.status + ", \"message\": \"" + refusal.getMessage() + "\"}}"
            : "<?xml version='1.0'?><Error><Code>" + refusal.getMessage() + "</Code></Error>";
        send(exchange, refusal.status, json ? JSON : "application/xml; charset=UTF-8", text.getBytes(StandardCharsets.UTF_8));
      } catch (RuntimeException problem) {
        // The server would close the connection without a word.
        send(exchange, 501, "text/plain", problem.toString().getBytes(StandardCharsets.UTF_8));
      }
    }
  }

  private synchronized Runnable takeBeforeDownload() {
    Runnable taken = beforeDownload;
    beforeDownload = () -> {};
    return taken;
  }

  private synchronized void answer(HttpExchange exchange, byte[] body) throws Refusal, IOException {
    String path = exchange.getRequestURI().getRawPath();
    String method = exchange.getRequestMethod();
    requests.add(method + " " + exchange.getRequestURI());
    if (failures > 0) {
      failures--;
      throw new Refusal(failureStatus, "no luck");
    }
    if (path.startsWith(UPLOADS) && method.equals("POST")) {
      authorize(exchange);
      upload(exchange, path.substring(UPLOADS.length()), body);
    } else if (path.startsWith(DOWNLOADS) && method.equals("GET")) {
      authorize(exchange);
      download(exchange, path.substring(DOWNLOADS.length()).split("/o/", 2));
    } else if (path.startsWith(OBJECTS) && method.equals("GET")) {
      authorize(exchange);
      String[] parts = path.substring(OBJECTS.length()).split("/o/?", 2);
      if (parts[1].isEmpty()) {
        list(exchange, parts[0]);
      } else {
        String key = decode(parts[1]);
        sendJson(exchange, metadata(parts[0], key, stored(exchange, parts[0], key)));
      }
    } else {
      signed.check(exchange);
      String[] parts = path.substring(1).split("/", 2);
      bySignedUrl(exchange, parts[0], decode(parts[1]), body);
    }
  }

  private static void authorize(HttpExchange exchange) throws Refusal {
    if (!("Bearer " + TOKEN).equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
      throw new Refusal(401, "expected the access token of the service account");
    }
  }

  private NavigableMap<String, Stored> bucket(String name) throws Refusal {
    NavigableMap<String, Stored> bucket = buckets.get(name);
    if (bucket == null) {
      throw new Refusal(404, "The specified bucket does not exist.");
    }
    return bucket;
  }

  /** Multipart: https://cloud.google.com/storage/docs/uploading-objects-from-memory. */
  private void upload(HttpExchange exchange, String path, byte[] body) throws Refusal, IOException {
    NavigableMap<String, Stored> bucket = bucket(path.substring(0, path.indexOf('/')));
    Headers headers = exchange.getRequestHeaders();
    String type = headers.getFirst("Content-Type");
    if (!path.endsWith("/o")
        || !"multipart".equals(query(exchange).get("uploadType"))
        || !type.startsWith("multipart/related; boundary=")) {
      throw new Refusal(400, "expected a multipart upload");
    }
    if (headers.containsKey("Content-Encoding")) {
      throw new Refusal(400, "expected content that is compressed once");
    }
    List<byte[]> parts = parts(body, type.substring(type.indexOf('=') + 1));
    JsonNode metadata = json.readTree(parts.get(0));
    byte[] content = parts.get(1);
    if (metadata.has("crc32c") && !metadata.get("crc32c").textValue().equals(crc32c(content))) {
      throw new Refusal(400, "Provided CRC32C does not match");
    }
    Stored stored =
        new Stored(content, metadata.path("contentType").asText(null), metadata.path("contentEncoding").asText(null), generation++);
    String key = metadata.path("name").asText();
    String expected = query(exchange).get("ifGenerationMatch");
    long found = bucket.containsKey(key) ? bucket.get(key).generation() : 0;
    if (expected != null && !expected.equals(Long.toString(found))) {
      throw new Refusal(412, "At least one of the pre-conditions you specified did not hold.");
    }
    bucket.put(key, stored);
    if (loseAnswers > 0) {
      loseAnswers--;
      throw new Refusal(503, "no luck");
    }
    sendJson(exchange, metadata(path.substring(0, path.indexOf('/')), key, stored));
  }

  /** The bodies of the parts; ISO 8859-1 maps bytes to characters one by one. */
  private static List<byte[]> parts(byte[] body, String boundary) {
    String delimiter = "--" + boundary.replace("\"", "");
    List<byte[]> parts = new ArrayList<>();
    String rest = new String(body, StandardCharsets.ISO_8859_1);
    String[] pieces = rest.split(Pattern.quote(delimiter), -1);
    for (int i = 1; i < pieces.length - 1; i++) {
      int head = pieces[i].indexOf("\r\n\r\n");
      parts.add(pieces[i].substring(head + 4, pieces[i].length() - 2).getBytes(StandardCharsets.ISO_8859_1));
    }
    return parts;
  }

  private Stored stored(HttpExchange exchange, String bucketName, String key) throws Refusal {
    Map<String, String> query = query(exchange);
    Stored stored = bucket(bucketName).get(key);
    if (stored == null || query.containsKey("generation") && !query.get("generation").equals(Long.toString(stored.generation()))) {
      throw new Refusal(404, "No such object");
    }
    return stored;
  }

  private void download(HttpExchange exchange, String[] parts) throws Refusal, IOException {
    Stored stored = stored(exchange, parts[0], decode(parts[1]));
    if (!"media".equals(query(exchange).get("alt"))) {
      throw new Refusal(400, "expected alt=media");
    }
    byte[] content = stored.content().clone();
    if (damage) {
      content[content.length / 2] ^= 1;
    }
    sendContent(exchange, content, stored);
  }

  private Map<String, Object> metadata(String bucket, String key, Stored stored) {
    Map<String, Object> metadata = new LinkedHashMap<>();
    metadata.put("kind", "storage#object");
    metadata.put("bucket", bucket);
    metadata.put("name", key);
    metadata.put("generation", Long.toString(stored.generation()));
    metadata.put("size", Integer.toString(stored.content().length));
    metadata.put("crc32c", crc32c(stored.content()));
    if (stored.type() != null) {
      metadata.put("contentType", stored.type());
    }
    if (stored.encoding() != null) {
      metadata.put("contentEncoding", stored.encoding());
    }
    return metadata;
  }

  /** https://cloud.google.com/storage/docs/json_api/v1/objects/list. */
  private void list(HttpExchange exchange, String bucketName) throws Refusal, IOException {
    Map<String, String> query = query(exchange);
    if (!LIST_PARAMETERS.containsAll(query.keySet())) {
      throw new Refusal(400, "unknown parameter");
    }
    String prefix = query.getOrDefault("prefix", "");
    String delimiter = query.getOrDefault("delimiter", "");
    NavigableMap<String, Stored> bucket = bucket(bucketName);
    // Objects and prefixes share one order and one page size.
    Set<String> found = new TreeSet<>(((TreeMap<String, Stored>) bucket).comparator());
    for (String key : bucket.keySet()) {
      boolean in = key.startsWith(prefix)
          && compare(key, query.getOrDefault("startOffset", "")) >= 0
          && (!query.containsKey("endOffset") || compare(key, query.get("endOffset")) < 0);
      if (in) {
        int end = delimiter.isEmpty() ? -1 : key.indexOf(delimiter, prefix.length());
        found.add(end < 0 ? key : key.substring(0, end + delimiter.length()));
      }
    }
    int size = Math.min(pageSize, Integer.parseInt(query.getOrDefault("maxResults", "1000")));
    List<String> page = found.stream().filter(name -> compare(name, query.getOrDefault("pageToken", "")) > 0).limit(size + 1L).toList();
    Map<String, Object> answer = new LinkedHashMap<>(Map.of("kind", "storage#objects"));
    if (page.size() > size) {
      page = page.subList(0, size);
      answer.put("nextPageToken", page.get(size - 1));
    }
    answer.put("prefixes", page.stream().filter(name -> !delimiter.isEmpty() && name.endsWith(delimiter)).toList());
    answer.put("items", page.stream()
        .filter(name -> delimiter.isEmpty() || !name.endsWith(delimiter))
        .map(name -> Map.of("name", name, "bucket", bucketName))
        .toList());
    sendJson(exchange, answer);
  }

  private static int compare(String a, String b) {
    return Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));
  }

  private void bySignedUrl(HttpExchange exchange, String bucketName, String key, byte[] body) throws Refusal, IOException {
    NavigableMap<String, Stored> bucket = bucket(bucketName);
    Headers headers = exchange.getRequestHeaders();
    if (exchange.getRequestMethod().equals("PUT")) {
      bucket.put(key, new Stored(body, headers.getFirst("Content-Type"), headers.getFirst("Content-Encoding"), generation++));
      send(exchange, 200, "text/html; charset=UTF-8", new byte[0]);
    } else if (bucket.containsKey(key)) {
      sendContent(exchange, bucket.get(key).content(), bucket.get(key));
    } else {
      throw new Refusal(404, "NoSuchKey");
    }
  }

  /** For those who cannot, it decompresses: https://cloud.google.com/storage/docs/transcoding. */
  private static void sendContent(HttpExchange exchange, byte[] content, Stored stored) throws IOException {
    byte[] sent = content;
    if ("gzip".equals(stored.encoding())) {
      if (String.valueOf(exchange.getRequestHeaders().getFirst("Accept-Encoding")).contains("gzip")) {
        exchange.getResponseHeaders().set("Content-Encoding", "gzip");
      } else {
        sent = new GZIPInputStream(new ByteArrayInputStream(content)).readAllBytes();
      }
    }
    send(exchange, 200, stored.type() == null ? "application/octet-stream" : stored.type(), sent);
  }

  private void sendJson(HttpExchange exchange, Object value) throws IOException {
    send(exchange, 200, JSON, json.writeValueAsBytes(value));
  }

  private static void send(HttpExchange exchange, int status, String type, byte[] body) throws IOException {
    exchange.getResponseHeaders().set("Content-Type", type);
    exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
    exchange.getResponseBody().write(body);
  }

  private static String crc32c(byte[] content) {
    CRC32C crc = new CRC32C();
    crc.update(content);
    return Base64.getEncoder().encodeToString(ByteBuffer.allocate(Integer.BYTES).putInt((int) crc.getValue()).array());
  }

  static Map<String, String> query(HttpExchange exchange) {
    Map<String, String> query = new TreeMap<>();
    String raw = exchange.getRequestURI().getRawQuery();
    if (raw != null) {
      for (String part : raw.split("&")) {
        int equals = part.indexOf('=');
        query.put(decode(part.substring(0, equals)), decode(part.substring(equals + 1)));
      }
    }
    return query;
  }

  /** Percent-decodes; a plus is a plus. */
  private static String decode(String text) {
    return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
  }
}

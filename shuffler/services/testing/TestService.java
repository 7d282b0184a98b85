package com.google.ondevicepersonalization.federatedcompute.shuffler.testing;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobController;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Postgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.ApiConfiguration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.WebConfiguration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.Parser;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Map;
import java.util.function.Consumer;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration;
import org.springframework.boot.autoconfigure.liquibase.LiquibaseAutoConfiguration;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.support.GenericApplicationContext;

/** A real server with real tables and blobs for the tests of one service's API. */
public final class TestService implements AutoCloseable {
  /** Most bytes of an upload. */
  public static final int LIMIT = 1 << 20;

  @EnableAutoConfiguration(exclude = {DataSourceAutoConfiguration.class, LiquibaseAutoConfiguration.class})
  static class Server {}

  public final String databaseUrl;
  public final Database database;
  public final Tasks tasks;
  public final Iterations iterations;
  public final Assignments assignments;
  public final FileBlobs blobs;
  public final BlobLayout layout = new BlobLayout("fcp-test-m-%s", "fcp-test-g-%s", "fcp-test-a-%s");

  private final HikariDataSource source;
  private final ConfigurableApplicationContext server;
  private final URI base;

  /**
   * Starts.
   *
   * @param beans registers the controllers of the service
   */
  public TestService(PrivatePostgres postgres, Path folder, Clock clock, Consumer<Beans> beans) {
    databaseUrl = postgres.newDatabase();
    source = Postgres.connect(databaseUrl, "test", "");
    Schema.TASKS.migrate(source);
    database = new Database(source);
    tasks = new Tasks(database);
    iterations = new Iterations(database);
    assignments = new Assignments(database);
    byte[] key = LocalUrls.sharedKey(folder);
    int port = PrivatePostgres.freePort();
    base = URI.create("http://localhost:" + port);
    LocalUrls urls = new LocalUrls(base, key, clock);
    blobs = new FileBlobs(folder.resolve("blobs"), urls, LIMIT);
    server = new SpringApplicationBuilder(Server.class, ApiConfiguration.class, WebConfiguration.class)
        .properties(
            "server.port=" + port, "spring.main.banner-mode=off", "spring.mvc.problemdetails.enabled=true", "logging.level.root=warn")
        .initializers(context -> {
          GenericApplicationContext registry = (GenericApplicationContext) context;
          registry.registerBean(BlobController.class, () -> new BlobController(blobs, urls));
          beans.accept(new Beans(registry, this));
        })
        .run();
  }

  /** Where controllers are registered. */
  public record Beans(GenericApplicationContext context, TestService service) {}

  /** Where a path of the service is. */
  public URI address(String path) {
    return URI.create(base + path);
  }

  /** Sends bytes. */
  public HttpResponse<byte[]> send(String method, String path, String contentType, byte[] body) {
    return send(method, path, Map.of("Content-Type", contentType), body);
  }

  /** Sends bytes with headers. */
  public HttpResponse<byte[]> send(String method, String path, Map<String, String> headers, byte[] body) {
    HttpRequest.Builder request = HttpRequest.newBuilder(address(path))
        .method(method, HttpRequest.BodyPublishers.ofByteArray(body))
        .header("Accept", "*/*");
    headers.forEach(request::header);
    try {
      return HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
    } catch (IOException | InterruptedException problem) {
      throw new IllegalStateException(problem);
    }
  }

  /** Sends a message. */
  public HttpResponse<byte[]> send(String method, String path, Message message) {
    return send(method, path, "application/x-protobuf", message.toByteArray());
  }

  /** Reads the message of an answer. */
  public static <M extends Message> M message(HttpResponse<byte[]> answer, Parser<M> parser) {
    try {
      return parser.parseFrom(answer.body());
    } catch (InvalidProtocolBufferException malformed) {
      throw new IllegalStateException(malformed);
    }
  }

  @Override
  public void close() {
    server.close();
    source.close();
  }
}

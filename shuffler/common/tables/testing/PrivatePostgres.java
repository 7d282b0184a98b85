package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A PostgreSQL server that a test has for itself: a real one, in a folder that goes away with it.
 *
 * <p>Its programs are where the environment variable POSTGRES says. It gives up durability, so it is for tests only. A test class has one by
 * {@code @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();}.
 */
public final class PrivatePostgres implements AutoCloseable, AfterAllCallback {
  private static final Duration START = Duration.ofSeconds(60);
  private static final int FIRST_PORT = 10_000;
  // Linux' default, of net.ipv4.ip_local_port_range.
  private static final int FIRST_OF_KERNEL = 32_768;

  private final Path folder;
  private final int port;
  private final Process server;
  private final AtomicInteger databases = new AtomicInteger();

  private PrivatePostgres(Path folder, int port, Process server) {
    this.folder = folder;
    this.port = port;
    this.server = server;
  }

  /** Starts a server on a free port of the loopback interface. */
  public static PrivatePostgres start() {
    try {
      Path programs = Path.of(System.getenv("POSTGRES"), "bin");
      Path folder = Files.createTempDirectory("postgres");
      String data = folder.resolve("data").toString();
      Path log = folder.resolve("log");
      Process init = process(
          log, programs.resolve("initdb"), "-D", data, "--auth=trust", "--username=test", "--locale=C", "--encoding=UTF8", "--no-sync");
      if (init.waitFor() != 0) {
        throw new IllegalStateException("initdb failed:\n" + Files.readString(log));
      }
      int port = freePort();
      Process server = process(
          log, programs.resolve("postgres"), "-D", data, "-p", Integer.toString(port), "-k", "", "-c", "listen_addresses=127.0.0.1",
          "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200");
      PrivatePostgres postgres = new PrivatePostgres(folder, port, server);
      Runtime.getRuntime().addShutdownHook(new Thread(server::destroyForcibly));
      postgres.await(log);
      return postgres;
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    } catch (InterruptedException problem) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while PostgreSQL started", problem);
    }
  }

  /** Makes an empty database; its JDBC address. The user is {@code test}, without a password. */
  public String newDatabase() {
    String name = "test" + databases.incrementAndGet();
    try (Connection connection = DriverManager.getConnection(url("postgres"), "test", "");
        Statement statement = connection.createStatement()) {
      statement.execute("CREATE DATABASE " + name);
    } catch (SQLException problem) {
      throw new IllegalStateException("cannot make a database", problem);
    }
    return url(name);
  }

  @Override
  public void afterAll(ExtensionContext context) {
    close();
  }

  @Override
  public void close() {
    server.destroyForcibly();
    try {
      server.waitFor(10, TimeUnit.SECONDS);
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.deleteIfExists(file);
        }
      }
    } catch (IOException | InterruptedException problem) {
      throw new IllegalStateException("cannot remove " + folder, problem);
    }
  }

  private String url(String database) {
    return "jdbc:postgresql://127.0.0.1:" + port + "/" + database;
  }

  private void await(Path log) throws IOException, InterruptedException {
    Instant last = Instant.now().plus(START);
    while (true) {
      try (Connection connection = DriverManager.getConnection(url("postgres"), "test", "")) {
        return;
      } catch (SQLException notYet) {
        if (!server.isAlive() || Instant.now().isAfter(last)) {
          throw new IllegalStateException("PostgreSQL did not start:\n" + Files.readString(log), notYet);
        }
        Thread.sleep(50);
      }
    }
  }

  private static Process process(Path log, Path program, String... arguments) throws IOException {
    List<String> command = new ArrayList<>();
    if (Integer.valueOf(0).equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"))) {
      // PostgreSQL refuses to run as root. In a user namespace root is nobody, whose files are still root's.
      command.addAll(List.of("unshare", "--user", "--map-user=65534", "--map-group=65534"));
    }
    command.add(program.toString());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile())).start();
  }

  /** A port of the loopback interface on which nobody listens; below those that the kernel gives to connections, so that none takes it. */
  public static int freePort() {
    while (true) {
      int port = ThreadLocalRandom.current().nextInt(FIRST_PORT, FIRST_OF_KERNEL);
      try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
        return socket.getLocalPort();
      } catch (BindException taken) {
        // Another one.
      } catch (IOException problem) {
        throw new UncheckedIOException(problem);
      }
    }
  }
}

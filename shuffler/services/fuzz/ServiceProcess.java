package com.google.ondevicepersonalization.federatedcompute.shuffler.fuzz;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** A service as it ships: its jar in a process of its own, and what that logs. */
final class ServiceProcess implements AutoCloseable {
  private static final Duration START = Duration.ofMinutes(3);
  private static final Duration LINE = Duration.ofSeconds(30);
  /** The line that is logged at the end of any request. */
  static final Predicate<String> REQUEST_ENDED = Pattern.compile("api\\.(CorrelationId|RefusedRequests) +: ").asPredicate();

  private final String name;
  private final Path errors;
  private final Process process;
  private final Thread reader;
  private final List<String> log = new ArrayList<>();
  private int port;

  /** Starts the jar of a service on a free port. */
  ServiceProcess(String name, Path folder, Map<String, String> environment) {
    this.name = name;
    this.errors = folder.resolve(name + ".stderr");
    Path jar = Path.of("shuffler/services", name.replace("_", ""), name + "_application.jar").toAbsolutePath();
    try {
      ProcessBuilder builder = new ProcessBuilder(
              System.getProperty("java.home") + "/bin/java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-jar", jar.toString())
          .directory(folder.toFile())
          .redirectError(errors.toFile());
      builder.environment().clear();
      builder.environment().putAll(environment);
      builder.environment().put("PORT", "0");
      process = builder.start();
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    reader = new Thread(this::read, name + "-log");
    reader.setDaemon(true);
    reader.start();
  }

  private void read() {
    try (BufferedReader output = process.inputReader()) {
      for (String line = output.readLine(); line != null; line = output.readLine()) {
        synchronized (log) {
          log.add(line);
          if (line.contains("Tomcat started on port ")) {
            port = Integer.parseInt(line.replaceFirst(".*Tomcat started on port ([0-9]+).*", "$1"));
          }
          log.notifyAll();
        }
      }
    } catch (IOException ended) {
      // With the process.
    }
  }

  /** Waits until the service is ready; from then on lines are counted. */
  int awaitReady() throws IOException, InterruptedException {
    Instant end = Instant.now().plus(START);
    synchronized (log) {
      while (port == 0) {
        giveUpAt(end, "it did not start");
        log.wait(200);
      }
    }
    HttpRequest ready = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/ready")).timeout(START).build();
    while (HttpClient.newHttpClient().send(ready, HttpResponse.BodyHandlers.ofString()).statusCode() != 200) {
      giveUpAt(end, "it is not ready");
      Thread.sleep(50);
    }
    return port;
  }

  /** How many lines there are. */
  int lines() {
    synchronized (log) {
      return log.size();
    }
  }

  /** Waits for the last line that is expected, and returns all that are new; none if it does not come. */
  List<String> linesAfter(int before, Predicate<String> last) throws InterruptedException {
    Instant end = Instant.now().plus(LINE);
    synchronized (log) {
      while (log.stream().skip(before).noneMatch(last) && process.isAlive() && Instant.now().isBefore(end)) {
        log.wait(200);
      }
      return List.copyOf(log.subList(before, log.size()));
    }
  }

  String standardError() throws IOException {
    return Files.readString(errors);
  }

  private void giveUpAt(Instant end, String problem) throws IOException {
    if (!process.isAlive() || Instant.now().isAfter(end)) {
      throw new AssertionError(name + ": " + problem + "; " + standardError() + " " + log);
    }
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}

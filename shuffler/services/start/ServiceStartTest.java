package com.google.ondevicepersonalization.federatedcompute.shuffler.start;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The jars as they ship, each in a process of its own. */
class ServiceStartTest {
  private static final int SIGTERM_EXIT_CODE = 128 + 15;
  private static final Path NATIVE = Path.of("shuffler/native").toAbsolutePath();
  private static final String LIBCXX = Path.of(System.getenv("LIBCXX")).toAbsolutePath().toString();
  private static final String SECRET = "aHVzaC1odXNoLWh1c2gtaA==";

  /** The profile gcp with all options, so that nobody asks Google for one. */
  private static final Map<String, String> CLOUD = Map.of(
      "PORT", "0",
      "LD_LIBRARY_PATH", LIBCXX,
      "FCP_OPTS", """
          --project_id p --environment e
          --spanner_instance i --task_database_name t --metrics_spanner_instance i --metrics_database_name m
          --client_gradient_bucket_template g-%s --aggregated_gradient_bucket_template a-%s --model_bucket_template m-%s
          --download_plan_token_duration 900 --download_checkpoint_token_duration 900 --upload_gradient_token_duration 900
          --local_compute_timeout_minutes 15 --upload_timeout_minutes 15
          --aggregator_pubsub_topic at --aggregator_pubsub_subscription as
          --model_updater_pubsub_topic mt --model_updater_pubsub_subscription ms
          --aggregator_notification_pubsub_topic nt --aggregator_notification_pubsub_subscription ns
          --encryption_key_service_a_base_url https://a.test --encryption_key_service_b_base_url https://b.test
          --encryption_key_service_a_cloudfunction_url https://fa.test --encryption_key_service_b_cloudfunction_url https://fb.test
          --wip_provider_a wa --wip_provider_b wb --service_account_a a@a.test --service_account_b b@b.test
          --aggregator_subscriber_max_outstanding_element_count 2 --model_updater_subscriber_max_outstanding_element_count 2
          --collector_batch_size 50 --aggregation_batch_failure_threshold 3 --enable_aggregation_success_notifications false
          --model_cdn_endpoint cdn.test --model_cdn_signing_key_name a --model_cdn_signing_key_value_a '""" + SECRET + "'",
      "SECURITY_OPTS", "--is_authentication_enabled true --allow_rooted_devices false"
          + " --key_attestation_validation_base_url https://attestation.test/v1 --key_attestation_api_key '" + SECRET + "'",
      "ENCRYPTION_OPTS", "--public_key_service_base_url https://keys.test --should_encrypt_aggregator_output true");

  @TempDir Path folder;

  private Process process;

  /** Where the JNI libraries lie; as in the images, where they lie beside the jar. */
  private Optional<Path> nativeLibraries = Optional.empty();

  @BeforeEach
  void putFilesBesideTheServiceThatItMustNotRead() throws IOException {
    Files.writeString(folder.resolve("application.properties"), "server.port=1\n");
  }

  @AfterEach
  void stop() {
    if (process != null) {
      process.destroyForcibly();
    }
  }

  /** Starts a jar; standard error goes to a file. */
  private BufferedReader start(String service, Map<String, String> environment, String... arguments) throws IOException {
    String name = service.replace("_", "");
    Path jar = Path.of("shuffler/services", name, service + "_application.jar").toAbsolutePath();
    // Of all machines there is only this one.
    Path hosts = Files.writeString(folder.resolve("hosts"), "127.0.0.1 localhost metadata.google.internal\n");
    String libraries = nativeLibraries.map(folder -> "-Djava.library.path=" + folder).orElse("-Djava.library.path=.");
    List<String> command = new ArrayList<>(List.of(
        System.getProperty("java.home") + "/bin/java", libraries, "-Djdk.net.hosts.file=" + hosts, "-jar", jar.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile()).redirectError(folder.resolve("stderr").toFile());
    builder.environment().clear();
    builder.environment().putAll(environment);
    process = builder.start();
    return process.inputReader();
  }

  private String standardError() throws IOException {
    return Files.readString(folder.resolve("stderr"));
  }

  private static String waitFor(String pattern, BufferedReader output, List<String> lines) throws IOException {
    for (String line = output.readLine(); line != null; line = output.readLine()) {
      lines.add(line);
      Matcher matcher = Pattern.compile(pattern).matcher(line);
      if (matcher.find()) {
        return matcher.group(1);
      }
    }
    throw new AssertionError("the service ended; its output: " + lines);
  }

  private static HttpResponse<String> get(String port, String path) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://localhost:" + port + path)).build();
    return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  // These wait more than they work: for Google, who does not answer.
  @Execution(ExecutionMode.CONCURRENT)
  @ParameterizedTest
  @CsvSource({
    "task_assignment, Task Assignment, blobs task database",
    "task_management, Task Management, task database",
    "task_scheduler, Task Scheduler, blobs metrics database task database",
    "collector, Collector, blobs messages task database",
    "aggregator, Aggregator, blobs messages",
    "model_updater, Model Updater, blobs messages",
  })
  void serviceInTheCloudAnswersLogsJsonAndStopsOnSigterm(String service, String name, String lacks) throws Exception {
    nativeLibraries = Optional.of(NATIVE);
    String key = privateKey();
    Map<String, String> environment = new HashMap<>(CLOUD);
    // TensorFlow would tell on standard error which processor it has.
    environment.put("TF_CPP_MIN_LOG_LEVEL", "1");
    environment.put("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(key).toString());
    // Spring Boot itself would read these.
    environment.putAll(Map.of(
        "SERVER_PORT", "1", "SPRING_APPLICATION_JSON", "{\"server\":{\"port\":1}}", "SPRING_CONFIG_LOCATION", "file:/"));
    List<String> log = new ArrayList<>();
    BufferedReader output = start(service, environment);
    String port = waitFor("Tomcat started on port ([0-9]+)", output, log);
    HttpResponse<String> health = get(port, "/healthz");
    assertThat(health.body()).isEqualTo("Greetings from " + name + " Spring Boot! Health check. \n");
    assertThat(health.statusCode()).isEqualTo(200);
    HttpResponse<String> ready = get(port, "/ready");
    assertThat(ready.body()).startsWith("Greetings from " + name + " Spring Boot! Ready check. \n");
    assertThat(Pattern.compile("(?m)^Not ready: ([a-z ]+): ").matcher(ready.body()).results().map(found -> found.group(1)).sorted())
        .containsExactly(lacks.split(" (?!database)"));
    assertThat(ready.statusCode()).isEqualTo(503);
    assertThat(get(port, "/actuator/prometheus").body()).contains("http_server_requests");

    process.toHandle().destroy(); // Process.destroy would close its output, too
    output.lines().forEach(log::add);
    assertThat(process.waitFor()).isEqualTo(SIGTERM_EXIT_CODE);
    assertThat(log)
        .allMatch(line -> line.matches("\\{\"@timestamp\":.*\"severity\":\"(INFO|WARN)\".*}"))
        .noneMatch(line -> line.contains(SECRET) || line.contains(key));
    assertThat(log).anyMatch(line -> line.contains("Graceful shutdown complete"));
    assertThat(standardError()).isEmpty();
  }

  private static String privateKey() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    return Base64.getEncoder().encodeToString(generator.generateKeyPair().getPrivate().getEncoded());
  }

  /** Credentials that nobody knows. */
  private Path serviceAccount(String key) throws IOException {
    return Files.writeString(folder.resolve("account.json"), "{\"type\":\"service_account\",\"project_id\":\"p\",\"private_key_id\":\"k\","
        + "\"private_key\":\"-----BEGIN PRIVATE KEY-----\\n" + key + "\\n-----END PRIVATE KEY-----\\n\",\"client_email\":\"a@p.test\","
        + "\"client_id\":\"1\",\"token_uri\":\"http://localhost:1/\"}");
  }

  @Execution(ExecutionMode.CONCURRENT)
  @ParameterizedTest
  @CsvSource({
    "task_assignment, Task Assignment",
    "task_management, Task Management",
    "task_scheduler, Task Scheduler",
    "collector, Collector",
    "aggregator, Aggregator",
    "model_updater, Model Updater",
  })
  void serviceWithoutOptionsOutsideOfTheCloudSaysSoInOneLine(String service, String name) throws Exception {
    nativeLibraries = Optional.of(NATIVE);
    assertThat(start(service, Map.of("LD_LIBRARY_PATH", LIBCXX)).readLine()).isNull();
    // Not 64: whether there are options is not known.
    assertThat(process.waitFor()).isEqualTo(1);
    assertThat(standardError())
        .startsWith(name + " cannot start: metadata server: project/project-id: expected an answer, found none: ")
        .hasLineCount(1);
  }

  @ParameterizedTest
  @CsvSource({
    "task_scheduler, Task Scheduler, ''",
    "aggregator, Aggregator, The aggregation library summed two checkpoints.",
    "model_updater, Model Updater, The aggregation library summed two checkpoints.",
  })
  void tensorflowServiceSaysWhatItRuns(String service, String name, String aggregation) throws Exception {
    nativeLibraries = Optional.of(NATIVE);
    Map<String, String> environment = new HashMap<>(local("0"));
    environment.put("LD_LIBRARY_PATH", LIBCXX);
    String port = waitFor("Tomcat started on port ([0-9]+)", start(service, environment), new ArrayList<>());
    HttpResponse<String> ready = get(port, "/ready");
    assertThat(ready.body().lines()).first().isEqualTo("Greetings from " + name + " Spring Boot! Ready check. ");
    assertThat(ready.body()).containsPattern("\nTensorFlow 2\\.[0-9]+\\.[0-9]+ executed a graph\\.\n").contains(aggregation);
  }

  @ParameterizedTest
  @CsvSource({"task_assignment, Task Assignment", "task_management, Task Management", "collector, Collector"})
  void serviceWithoutItsDatabaseAnswersThatItIsNotReady(String service, String name) throws Exception {
    List<String> log = new ArrayList<>();
    String port = waitFor("Tomcat started on port ([0-9]+)", start(service, local("0")), log);
    assertThat(get(port, "/healthz").statusCode()).isEqualTo(200);
    HttpResponse<String> ready = get(port, "/ready");
    assertThat(ready.statusCode()).isEqualTo(503);
    assertThat(ready.body())
        .startsWith("Greetings from " + name + " Spring Boot! Ready check. \n")
        .contains("Not ready: task database: it does not answer as it should (see the log of the service)\n");
    assertThat(log).noneMatch(line -> line.contains("hush"));
    assertThat(standardError()).isEmpty();
  }

  /** The profile local with a database that is not there. */
  private Map<String, String> local(String port) {
    String options = "--database_url jdbc:postgresql://127.0.0.1:1/tasks --metrics_database_url jdbc:postgresql://127.0.0.1:1/metrics"
        + " --database_user u --database_password hush --blob_folder "
        + folder.resolve("blobs") + " --public_url http://127.0.0.1:8083";
    return Map.of("SPRING_PROFILES_ACTIVE", "local", "LOCAL_OPTS", options, "PORT", port);
  }

  @Test
  void missingOptionsStopTheStartWithOneLine() throws Exception {
    assertThat(start("task_management", Map.of("SPRING_PROFILES_ACTIVE", "local", "LOCAL_OPTS", "--database_user u")).readLine()).isNull();
    assertThat(process.waitFor()).isEqualTo(64);
    assertThat(standardError()).isEqualTo(
        "Task Management cannot start: LOCAL_OPTS: expected --blob_folder, --public_url, --database_url, --database_password, found no value\n");
  }

  @Test
  void authenticationWithoutItsServiceStopsTheStart() throws Exception {
    Map<String, String> environment = new HashMap<>(local("0"));
    environment.put("SECURITY_OPTS", "--is_authentication_enabled true");
    assertThat(start("task_assignment", environment).readLine()).isNull();
    assertThat(process.waitFor()).isEqualTo(64);
    assertThat(standardError()).isEqualTo("Task Assignment cannot start: SECURITY_OPTS: expected"
        + " --key_attestation_validation_base_url, --key_attestation_api_key, found no value\n");
  }

  @Test
  void localProfileLogsForPeople() throws Exception {
    List<String> log = new ArrayList<>();
    waitFor("(Started CollectorApplication)", start("collector", local("0")), log);
    assertThat(log).isNotEmpty().allMatch(line -> line.matches("[0-9T:.Z+-]+ +(INFO|WARN|ERROR) .*"));
  }

  @ParameterizedTest
  @CsvSource({"task_assignment, 8083", "task_management, 8082", "collector, 8082"})
  void serviceHasItsPort(String service, String port) throws Exception {
    Map<String, String> environment = new HashMap<>(local(""));
    environment.remove("PORT");
    assertThat(waitFor("Tomcat initialized with port ([0-9]+)", start(service, environment), new ArrayList<>())).isEqualTo(port);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
    "FCP_OPTS               | --project_id 'x | FCP_OPTS: --project_id: malformed quotes, expected 'value' followed by a space or the end",
    "FCP_OPTS               | --model_cdn_endpoint x --model_cdn_signing_key_name c | FCP_OPTS: --model_cdn_signing_key_name: "
        + "expected the name of a key, which ends in a or b, since --model_cdn_endpoint is given, found none",
    "SECURITY_OPTS          | x               | SECURITY_OPTS: character 1: expected an option, as in --name 'value'",
    "ENCRYPTION_OPTS        | --x 'y'         | ENCRYPTION_OPTS: unknown option --x",
    "SPRING_PROFILES_ACTIVE | production      | SPRING_PROFILES_ACTIVE: expected gcp or local, found 'production'",
  })
  void malformedEnvironmentStopsTheStartWithOneLine(String variable, String value, String message) throws Exception {
    assertThat(start("collector", Map.of(variable, value)).readLine()).isNull();
    assertThat(process.waitFor()).isEqualTo(64);
    assertThat(standardError()).isEqualTo("Collector cannot start: " + message + "\n");
  }

  @Test
  void argumentsAreRefused() throws Exception {
    assertThat(start("collector", Map.of(), "--server.port=1").readLine()).isNull();
    assertThat(process.waitFor()).isEqualTo(64);
    assertThat(standardError()).isEqualTo("Collector cannot start: the command line takes no arguments; see FCP_OPTS\n");
  }

  @Test
  void portInUseStopsTheStartWithoutStackTrace() throws Exception {
    try (ServerSocket taken = new ServerSocket(0)) {
      BufferedReader output = start("collector", local(Integer.toString(taken.getLocalPort())));
      List<String> log = output.lines().toList();
      assertThat(process.waitFor()).isEqualTo(1);
      assertThat(log).anyMatch(line -> line.contains("Port " + taken.getLocalPort() + " was already in use"));
      assertThat(log).noneMatch(line -> line.startsWith("\tat "));
      assertThat(standardError()).isEmpty();
    }
  }

  @ParameterizedTest
  @CsvSource({"task_scheduler, Task Scheduler", "aggregator, Aggregator", "model_updater, Model Updater"})
  void missingNativeLibraryStopsTheStartWithOneLine(String service, String name) throws Exception {
    assertThat(start(service, local("0")).readLine()).isNull();
    assertThat(process.waitFor()).isEqualTo(1);
    assertThat(standardError())
        .startsWith(name + " cannot start: TensorFlow (libtensorflow-jni.so): no tensorflow-jni in java.library.path: ")
        .hasLineCount(1);
  }
}

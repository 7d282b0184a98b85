package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.ReadinessCheck;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.env.PropertySource;

class ServiceApplicationTest {
  @SpringBootApplication
  static class Application {}

  private static ConfigurableApplicationContext start(Map<String, String> environment, List<Supplier<? extends ReadinessCheck>> checks) {
    Map<String, String> whole = new HashMap<>(Map.of("SPRING_PROFILES_ACTIVE", "local", "PORT", "0"));
    whole.putAll(environment);
    return ServiceApplication.start(Application.class, "Some Service", StartOptions.of(whole, 8082), checks);
  }

  private static HttpResponse<String> get(ConfigurableApplicationContext service, String path) throws Exception {
    String port = service.getEnvironment().getProperty("local.server.port");
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://localhost:" + port + path)).build();
    return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void serviceAnswersOnItsPort() throws Exception {
    try (ConfigurableApplicationContext service = start(Map.of(), List.of(() -> () -> "something is there"))) {
      assertThat(get(service, "/healthz").body()).isEqualTo("Greetings from Some Service Spring Boot! Health check. \n");
      HttpResponse<String> ready = get(service, "/ready");
      assertThat(ready.statusCode()).isEqualTo(200);
      assertThat(ready.headers().firstValue("Content-Type")).hasValueSatisfying(type -> assertThat(type).startsWith("text/plain"));
      assertThat(ready.body()).isEqualTo("Greetings from Some Service Spring Boot! Ready check. \nsomething is there\n");
      assertThat(get(service, "/actuator/prometheus").body()).contains("jvm_memory_used_bytes");
      assertThat(get(service, "/actuator/health").body()).isEqualTo("{\"status\":\"UP\"}");
    }
  }

  @Test
  void nothingElseIsThere() throws Exception {
    List<String> paths =
        List.of("/", "/nothing", "/actuator", "/actuator/env", "/actuator/shutdown", "/actuator/heapdump", "/actuator/beans");
    try (ConfigurableApplicationContext service = start(Map.of(), List.of())) {
      for (String path : paths) {
        HttpResponse<String> answer = get(service, path);
        assertThat(answer.statusCode()).as(path).isEqualTo(404);
        assertThat(answer.body()).as(path).contains("\"status\":404").doesNotContain("Exception", "<html");
      }
    }
  }

  @Test
  void optionsAreBeans() {
    try (ConfigurableApplicationContext service = start(Map.of("FCP_OPTS", "--project_id 'p'"), List.of())) {
      assertThat(service.getBean("fcpOptions", OptionValues.class).get(FcpOptions.PROJECT_ID)).contains("p");
      assertThat(service.getBean(Profile.class)).isEqualTo(Profile.LOCAL);
    }
  }

  @Test
  void failedCheckStopsTheStart() {
    assertThatThrownBy(() -> start(Map.of(), List.of(() -> {
      throw StartException.failure("no library");
    }))).isInstanceOfSatisfying(StartException.class, problem -> assertThat(problem.exitCode()).isEqualTo(1));
  }

  /** Every option of FCP_OPTS at once, each with the first of these values that is of its type. */
  @ParameterizedTest
  @ValueSource(strings = {"spring.main.banner-mode=log", "${user.home}", "#{systemProperties}", "{\"server.port\":1}", "@/etc/hostname"})
  void noOptionOfFcpOptsSetsASpringProperty(String hostile) {
    StringBuilder text = new StringBuilder();
    for (Option<?> option : FcpOptions.TABLE.options()) {
      String value = Stream.of(hostile, hostile + "%s", "7", "true", "NONE")
          .filter(candidate -> option.parser().apply(candidate).isPresent())
          .findFirst()
          .orElseThrow();
      text.append("--").append(option.name()).append(" '").append(value).append("' ");
    }
    assertThat(properties(Map.of("FCP_OPTS", text.toString()))).isEqualTo(properties(Map.of()));
  }

  @Test
  void theMachinesEnvironmentAndPropertiesAreNoSources() {
    System.setProperty("server.tomcat.threads.max", "7777");
    System.setProperty("spring.application.json", "{\"server.tomcat.threads.max\":7777}");
    System.setProperty("spring.config.additional-location", "file:/");
    try {
      assertThat(properties(Map.of()))
          .containsEntry("server.tomcat.threads.max", "64")
          .doesNotContainKeys("user.home", "PATH", "spring.config.additional-location");
    } finally {
      System.clearProperty("server.tomcat.threads.max");
      System.clearProperty("spring.application.json");
      System.clearProperty("spring.config.additional-location");
    }
  }

  /** All Spring properties of a service with this environment, but for the ports that it got. */
  private static Map<String, String> properties(Map<String, String> environment) {
    Map<String, String> found = new HashMap<>();
    try (ConfigurableApplicationContext service = start(environment, List.of())) {
      for (PropertySource<?> source : service.getEnvironment().getPropertySources()) {
        if (source instanceof EnumerablePropertySource<?> enumerable) {
          for (String name : enumerable.getPropertyNames()) {
            found.put(name, service.getEnvironment().getProperty(name));
          }
        }
      }
    }
    found.keySet().removeAll(List.of("local.server.port", "local.management.port"));
    return found;
  }
}

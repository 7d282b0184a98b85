package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.springframework.http.ResponseEntity;

class HealthControllerTest {
  private static HealthController controller(ReadinessCheck... checks) {
    return new HealthController(new ServiceName("Model Updater"), List.of(checks));
  }

  @Test
  void healthDoesNotAskForAnythingElse() {
    HealthController controller = controller(() -> {
      throw new NotReadyException("never asked");
    });
    assertThat(controller.health()).isEqualTo("Greetings from Model Updater Spring Boot! Health check. \n");
  }

  @Test
  void readyShowsALineForEachCheck() {
    ResponseEntity<String> answer = controller(() -> "TensorFlow 2.14.1", () -> "Aggregation").ready();
    assertThat(answer.getStatusCode().value()).isEqualTo(200);
    assertThat(answer.getBody())
        .isEqualTo("Greetings from Model Updater Spring Boot! Ready check. \nTensorFlow 2.14.1\nAggregation\n");
  }

  @Test
  void oneFailedCheckMakesTheServiceNotReadyAndTheOthersAreShown() {
    ResponseEntity<String> answer = controller(
            () -> {
              throw new NotReadyException("no tables");
            },
            () -> "TensorFlow 2.14.1")
        .ready();
    assertThat(answer.getStatusCode().value()).isEqualTo(503);
    assertThat(answer.getBody())
        .isEqualTo("Greetings from Model Updater Spring Boot! Ready check. \nNot ready: no tables\nTensorFlow 2.14.1\n");
  }
}

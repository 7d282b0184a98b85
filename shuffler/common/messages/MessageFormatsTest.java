package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The formats of services.md 1.8, byte by byte: aggregators of other versions read them. */
class MessageFormatsTest {
  private static final String AGGREGATOR = "{\"accumulateIntermediateUpdates\":false,\"serverPlanBucket\":\"m-0\","
      + "\"serverPlanObject\":\"p/1/0/s/0/server_phase\",\"gradientBucket\":\"g-0\",\"gradientPrefix\":\"p/1/1/d/\","
      + "\"gradients\":[\"a/gradient\",\"b/gradient\"],\"aggregatedGradientOutputBucket\":\"a-0\","
      + "\"aggregatedGradientOutputObject\":\"p/1/1/s/0/0/x/gradient\",\"requestId\":\"p/1/1/0_x\","
      + "\"notificationEndpoint\":\"https://pubsub.googleapis.com/v1/projects/j/topics/t:publish\"}";
  private static final AggregatorMessage AGGREGATOR_MESSAGE = new AggregatorMessage(
      false,
      "m-0",
      "p/1/0/s/0/server_phase",
      "g-0",
      "p/1/1/d/",
      List.of("a/gradient", "b/gradient"),
      "a-0",
      "p/1/1/s/0/0/x/gradient",
      "p/1/1/0_x",
      "https://pubsub.googleapis.com/v1/projects/j/topics/t:publish");

  private static final String EVALUATION = "{\"serverPlanBucket\":\"m-0\",\"serverPlanObject\":\"plan\",\"intermediateGradientBucket\":\"a-0\","
      + "\"intermediateGradientPrefix\":\"p/1/1/s/0/0/\",\"intermediateGradients\":[\"x/gradient\"],\"checkpointBucket\":\"m-0\","
      + "\"checkpointObject\":\"p/1/0/s/0/checkpoint\",\"metricsOutputBucket\":\"m-0\",\"metricsOutputObject\":\"p/1/1/s/0/metrics\","
      + "\"requestId\":\"1\"}";
  private static final ModelUpdaterMessage EVALUATION_MESSAGE = new ModelUpdaterMessage(
      "m-0",
      "plan",
      "a-0",
      "p/1/1/s/0/0/",
      List.of("x/gradient"),
      "m-0",
      "p/1/0/s/0/checkpoint",
      Optional.empty(),
      Optional.empty(),
      Optional.empty(),
      Optional.empty(),
      "m-0",
      "p/1/1/s/0/metrics",
      "1");

  @Test
  void aggregatorMessageHasItsFormat() {
    assertThat(AGGREGATOR_MESSAGE.toMessage()).isEqualTo(new Message(AGGREGATOR, Map.of()));
    assertThat(AggregatorMessage.parse(AGGREGATOR)).isEqualTo(AGGREGATOR_MESSAGE);
  }

  @Test
  void modelUpdaterMessageHasItsFormatAndLeavesOutWhatIsAbsent() {
    assertThat(EVALUATION_MESSAGE.toMessage()).isEqualTo(new Message(EVALUATION, Map.of()));
    assertThat(ModelUpdaterMessage.parse(EVALUATION)).isEqualTo(EVALUATION_MESSAGE);
    String training = EVALUATION.replace(
        "\"metricsOutputBucket\"", "\"newCheckpointOutputBucket\":\"m-0\",\"newCheckpointOutputObject\":\"c\",\"metricsOutputBucket\"");
    assertThat(ModelUpdaterMessage.parse(training).newCheckpointOutputBucket()).contains("m-0");
    assertThat(ModelUpdaterMessage.parse(training).toMessage().data()).isEqualTo(training);
  }

  @Test
  void fieldsOfNewerVersionsArePassedOver() {
    assertThat(AggregatorMessage.parse(AGGREGATOR.replace("{\"acc", "{\"new\":{\"x\":[1]},\"acc"))).isEqualTo(AGGREGATOR_MESSAGE);
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "", "null", "[]", "{}", "{", "{\"gradients\":3}",
    "{\"gradients\":[null],\"serverPlanBucket\":\"\",\"serverPlanObject\":\"\",\"gradientBucket\":\"\",\"gradientPrefix\":\"\","
        + "\"aggregatedGradientOutputBucket\":\"\",\"aggregatedGradientOutputObject\":\"\",\"requestId\":\"\",\"notificationEndpoint\":\"\"}",
  })
  void malformedMessageIsAnErrorInOneLine(String json) {
    assertThatThrownBy(() -> AggregatorMessage.parse(json)).isInstanceOf(IllegalArgumentException.class).hasMessageContaining("expected ");
    assertThatThrownBy(() -> AggregatorMessage.parse(AGGREGATOR + "x")).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @CsvSource({"AGGREGATION_ERROR, AGGREGATION_ERROR", "DECRYPTION_ERROR, DECRYPTION_ERROR", "SOMETHING_NEW, UNKNOWN_ERROR"})
  void failureIsAttributes(String written, AggregationNotification.ErrorReason read) {
    Message message = new Message("", Map.of("status", "ERROR", "requestId", "r", "errorReason", written));
    assertThat(AggregationNotification.of(message)).isEqualTo(AggregationNotification.error("r", read));
    assertThat(AggregationNotification.error("r", read).toMessage().attributes()).containsEntry("errorReason", read.name());
  }

  @Test
  void successIsAttributesWithoutReason() {
    Message message = new Message("", Map.of("status", "OK", "requestId", "r"));
    assertThat(AggregationNotification.ok("r").toMessage()).isEqualTo(message);
    assertThat(AggregationNotification.of(message)).isEqualTo(AggregationNotification.ok("r"));
  }

  @Test
  void notificationWithoutStatusOrRequestIsRefused() {
    for (Map<String, String> attributes : List.of(
        Map.<String, String>of(), Map.of("status", "OK"), Map.of("requestId", "r"), Map.of("requestId", "r", "status", "MAYBE"))) {
      assertThatThrownBy(() -> AggregationNotification.of(new Message("", attributes))).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void endpointIsATopicOfPubSubAndNothingElse() {
    NotificationEndpoint endpoint = new NotificationEndpoint("my-project", "aggregator-notifications-x-topic");
    assertThat(endpoint.address())
        .isEqualTo("https://pubsub.googleapis.com/v1/projects/my-project/topics/aggregator-notifications-x-topic:publish");
    assertThat(NotificationEndpoint.parse(endpoint.address())).isEqualTo(endpoint);
    for (String wrong : List.of(
        "http://pubsub.googleapis.com/v1/projects/x/topics/notes:publish",
        "https://pubsub.googleapis.com.example/v1/projects/x/topics/notes:publish",
        "https://pubsub.googleapis.com/v1/projects/x/../y/topics/notes:publish",
        "https://pubsub.googleapis.com/v1/projects/x/topics/notes:publish?x",
        "https://user@pubsub.googleapis.com/v1/projects/x/topics/notes:publish")) {
      assertThatThrownBy(() -> NotificationEndpoint.parse(wrong)).as(wrong).isInstanceOf(IllegalArgumentException.class);
    }
  }
}

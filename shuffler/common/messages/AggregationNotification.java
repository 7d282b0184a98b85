package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Tells the collector what became of a batch. It travels as attributes of an empty message.
 *
 * @param requestId of the aggregator's message
 * @param error why there is no sum; nothing if there is one
 */
public record AggregationNotification(String requestId, Optional<ErrorReason> error) {
  private static final String STATUS = "status";
  private static final String REQUEST = "requestId";
  private static final String REASON = "errorReason";

  /** Why a batch has no sum. */
  public enum ErrorReason {
    AGGREGATION_ERROR,
    DECRYPTION_ERROR,
    UNKNOWN_ERROR
  }

  public static AggregationNotification ok(String requestId) {
    return new AggregationNotification(requestId, Optional.empty());
  }

  public static AggregationNotification error(String requestId, ErrorReason reason) {
    return new AggregationNotification(requestId, Optional.of(reason));
  }

  /**
   * Reads a message; a reason that it does not know is UNKNOWN_ERROR.
   *
   * @throws IllegalArgumentException if status or request are missing, or the status is neither OK nor ERROR
   */
  public static AggregationNotification of(Message message) {
    Map<String, String> attributes = message.attributes();
    String request = attributes.get(REQUEST);
    String status = attributes.get(STATUS);
    if (request == null || status == null) {
      throw new IllegalArgumentException("notification: expected the attributes status and requestId, found " + attributes.keySet());
    }
    return switch (status) {
      case "OK" -> ok(request);
      case "ERROR" -> error(
          request,
          Arrays.stream(ErrorReason.values())
              .filter(reason -> reason.name().equals(attributes.get(REASON)))
              .findFirst()
              .orElse(ErrorReason.UNKNOWN_ERROR));
      default -> throw new IllegalArgumentException("notification: expected the status OK or ERROR");
    };
  }

  public Message toMessage() {
    Map<String, String> attributes = new HashMap<>(Map.of(STATUS, error.isPresent() ? "ERROR" : "OK", REQUEST, requestId));
    error.ifPresent(reason -> attributes.put(REASON, reason.name()));
    return new Message("", attributes);
  }
}

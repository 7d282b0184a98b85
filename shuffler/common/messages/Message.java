package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import java.util.Map;

/**
 * A message.
 *
 * @param data its body; may be empty
 * @param attributes beside it
 */
public record Message(String data, Map<String, String> attributes) {
  public Message {
    attributes = Map.copyOf(attributes);
  }
}

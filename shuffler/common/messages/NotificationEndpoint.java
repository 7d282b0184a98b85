package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where the aggregator is asked to publish its notification; written as the address of Pub/Sub's REST API.
 *
 * <p>The address comes in a message. Whoever publishes sends no token to it, but takes the topic out, and refuses another project.
 */
public record NotificationEndpoint(String project, String topic) {
  // https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish
  private static final Pattern ADDRESS =
      Pattern.compile("https://pubsub\\.googleapis\\.com/v1/projects/([a-z0-9.:-]{1,100})/topics/([A-Za-z0-9._~%+-]{3,255}):publish");

  /** The address. */
  public String address() {
    return "https://pubsub.googleapis.com/v1/projects/" + project + "/topics/" + topic + ":publish";
  }

  /**
   * Reads an address.
   *
   * @throws IllegalArgumentException if it is no such address
   */
  public static NotificationEndpoint parse(String address) {
    Matcher matcher = ADDRESS.matcher(address);
    if (!matcher.matches()) {
      throw new IllegalArgumentException(
          "notificationEndpoint: expected " + new NotificationEndpoint("{project}", "{topic}").address() + ", found something else");
    }
    return new NotificationEndpoint(matcher.group(1), matcher.group(2));
  }
}

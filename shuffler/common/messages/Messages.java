package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

/** The port to messages. Each is delivered at least once, in no order; after ten deliveries that failed it becomes a dead letter. */
public interface Messages {
  /**
   * Sends a message; when it returns, the message is kept.
   *
   * @throws MessagingException if it is not
   */
  void publish(String topic, Message message);

  /**
   * Has messages handled, until it is closed.
   *
   * @param subscription what to receive from
   * @param maxOutstanding most messages that are handled at a time
   */
  Subscription subscribe(String subscription, int maxOutstanding, MessageHandler handler);

  /**
   * Looks whether messages of a subscription can be received now.
   *
   * @throws MessagingException if not
   */
  void checkSubscription(String subscription);

  /**
   * Looks whether messages can be sent to a topic now.
   *
   * @throws MessagingException if not
   */
  void checkTopic(String topic);
}

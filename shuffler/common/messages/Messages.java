package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

/**
 * The port to messages: topics, to which they are sent, and subscriptions, each of which gets all messages of its topic.
 *
 * <p>Each is delivered at least once, in no order: it comes again after a delivery that failed, and after a process that died with it. What
 * was delivered {@value #DELIVERIES} times for nothing becomes a dead letter, kept for people to look at.
 */
public interface Messages {
  /** How often a message is delivered before it is a dead letter. */
  int DELIVERIES = 10;

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

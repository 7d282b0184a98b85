package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.local;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessagingException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.springframework.dao.DataAccessException;
import org.springframework.transaction.TransactionException;

/**
 * Messages in tables of PostgreSQL, see {@code Schema.QUEUE}. All times are the server's, so that processes need not agree on them.
 *
 * <p>A delivery takes a message for a short time, a lease, which is extended while the message is handled. If the process dies, the lease
 * ends, and the message is delivered again.
 */
public final class QueueMessages implements Messages {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final TypeReference<Map<String, String>> ATTRIBUTES = new TypeReference<>() {};

  /**
   * How long things take.
   *
   * @param lease of a message that is handled; extended until it has lasted {@code longestLease}, as Pub/Sub does it
   * @param longestLease after that, the handler is taken for stuck
   * @param firstPause before the second delivery; each one after that is twice as long
   * @param longestPause between two deliveries
   * @param close how long close() waits for handlers
   */
  record Times(Duration lease, Duration longestLease, Duration firstPause, Duration longestPause, Duration close) {
    static final Times DEFAULT =
        new Times(Duration.ofSeconds(10), Duration.ofMinutes(10), Duration.ofMillis(100), Duration.ofSeconds(10), Duration.ofSeconds(20));

    /** How long a message rests after so many deliveries. */
    Duration pause(long deliveries) {
      Duration pause = firstPause;
      for (long i = 1; i < deliveries && pause.compareTo(longestPause) < 0; i++) {
        pause = pause.multipliedBy(2);
      }
      return pause.compareTo(longestPause) < 0 ? pause : longestPause;
    }
  }

  /** A message that is handled, and the number of its delivery. */
  record Delivery(long id, long number, Message message) {}

  private final Database database;
  private final Map<String, String> subscriptions;
  private final Times times;

  /**
   * Queues of a database.
   *
   * @param subscriptions by their topics; the same in every process
   */
  public QueueMessages(Database database, Map<String, String> subscriptions) {
    this(database, subscriptions, Times.DEFAULT);
  }

  QueueMessages(Database database, Map<String, String> subscriptions, Times times) {
    this.database = database;
    this.subscriptions = Map.copyOf(subscriptions);
    this.times = times;
  }

  @Override
  public void publish(String topic, Message message) {
    String subscription = subscriptions.get(topic);
    if (subscription == null) {
      throw new MessagingException("topic " + topic + ": expected one of " + subscriptions.keySet());
    }
    try {
      database.transact(client -> client.sql("""
              INSERT INTO message (subscription, data, attributes, deliveries, visible_time, created_time)
              VALUES (:subscription, :data, CAST(:attributes AS jsonb), 0, clock_timestamp(), clock_timestamp())
              """)
          .param("subscription", subscription)
          .param("data", message.data())
          .param("attributes", MAPPER.valueToTree(message.attributes()).toString())
          .update());
    } catch (DataAccessException | TransactionException problem) {
      throw new MessagingException("topic " + topic + ": the message is not kept", problem);
    }
  }

  @Override
  public Subscription subscribe(String subscription, int maxOutstanding, MessageHandler handler) {
    requireKnown(subscription);
    return new QueueSubscription(this, subscription, maxOutstanding, handler, times);
  }

  @Override
  public void checkTopic(String topic) {
    if (!subscriptions.containsKey(topic)) {
      throw new MessagingException("topic " + topic + ": expected one of " + subscriptions.keySet());
    }
    checkSubscription(subscriptions.get(topic));
  }

  @Override
  public void checkSubscription(String subscription) {
    requireKnown(subscription);
    try {
      database.query(client -> client.sql("SELECT FROM message LIMIT 1").query((row, number) -> true).list());
    } catch (DataAccessException | TransactionException problem) {
      throw new MessagingException("subscription " + subscription + ": the queue does not answer", problem);
    }
  }

  private void requireKnown(String subscription) {
    if (!subscriptions.containsValue(subscription)) {
      throw new MessagingException("subscription " + subscription + ": expected one of " + subscriptions.values());
    }
  }

  /** Takes messages whose time has come. */
  List<Delivery> take(String subscription, int most) {
    return database.transact(client -> client.sql("""
            UPDATE message
            SET deliveries = deliveries + 1, visible_time = clock_timestamp() + :lease * interval '1 millisecond'
            WHERE message_id IN (
                SELECT message_id FROM message
                WHERE subscription = :subscription AND visible_time <= clock_timestamp() AND deliveries < :deliveries
                ORDER BY visible_time, message_id
                LIMIT :most
                FOR UPDATE SKIP LOCKED)
            RETURNING message_id, deliveries, data, attributes
            """)
        .param("lease", times.lease().toMillis())
        .param("subscription", subscription)
        .param("deliveries", DELIVERIES)
        .param("most", most)
        .query((row, number) -> new Delivery(
            row.getLong("message_id"),
            row.getLong("deliveries"),
            new Message(row.getString("data"), attributes(row.getString("attributes")))))
        .list());
  }

  /**
   * Sets aside what was delivered often enough.
   *
   * @return the messages' numbers
   */
  List<Long> bury(String subscription) {
    return database.transact(client -> client.sql("""
            WITH dead AS (
                DELETE FROM message
                WHERE message_id IN (
                    SELECT message_id FROM message
                    WHERE subscription = :subscription AND visible_time <= clock_timestamp() AND deliveries >= :deliveries
                    FOR UPDATE SKIP LOCKED)
                RETURNING message_id, subscription, data, attributes, created_time)
            INSERT INTO dead_letter (message_id, subscription, data, attributes, created_time, dead_time)
            SELECT message_id, subscription, data, attributes, created_time, clock_timestamp() FROM dead
            RETURNING message_id
            """)
        .param("subscription", subscription)
        .param("deliveries", DELIVERIES)
        .query(Long.class)
        .list());
  }

  /** Makes a delivery's lease as long as a new one. */
  void extend(Delivery delivery) {
    rest(delivery, times.lease());
  }

  /** Gives a message back, after a pause; the last time without one: it is a dead letter now. */
  void giveBack(Delivery delivery) {
    rest(delivery, delivery.number() < DELIVERIES ? times.pause(delivery.number()) : Duration.ZERO);
  }

  private void rest(Delivery delivery, Duration time) {
    database.transact(client -> client.sql("""
            UPDATE message SET visible_time = clock_timestamp() + :time * interval '1 millisecond'
            WHERE message_id = :id AND deliveries = :number
            """)
        .param("time", time.toMillis())
        .param("id", delivery.id())
        .param("number", delivery.number())
        .update());
  }

  /** Removes a message that was handled, unless it is with somebody else by now. */
  void remove(Delivery delivery) {
    database.transact(client -> client.sql("DELETE FROM message WHERE message_id = :id AND deliveries = :number")
        .param("id", delivery.id())
        .param("number", delivery.number())
        .update());
  }

  private static Map<String, String> attributes(String json) {
    try {
      return MAPPER.readValue(json, ATTRIBUTES);
    } catch (JsonProcessingException problem) {
      throw new IllegalStateException("attributes of a message: expected JSON with texts", problem);
    }
  }
}

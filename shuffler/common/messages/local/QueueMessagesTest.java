package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.local;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.testing.MessagesContract;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Postgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.zaxxer.hikari.HikariDataSource;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Messages in tables of a real PostgreSQL. */
class QueueMessagesTest extends MessagesContract {
  private static final QueueMessages.Times TIMES = new QueueMessages.Times(
      Duration.ofSeconds(4), Duration.ofMinutes(1), Duration.ofMillis(1), Duration.ofMillis(4), Duration.ofSeconds(30));

  @RegisterExtension static final PrivatePostgres server = PrivatePostgres.start();

  private HikariDataSource source;
  private Database database;
  private QueueMessages messages;

  @BeforeEach
  void makeQueue() {
    source = Postgres.connect(server.newDatabase(), "test", "");
    Schema.QUEUE.migrate(source);
    database = new Database(source);
    messages = new QueueMessages(database, Map.of(TOPIC, SUBSCRIPTION), TIMES);
  }

  @AfterEach
  void close() {
    source.close();
  }

  @Override
  protected Messages messages() {
    return messages;
  }

  @Override
  protected List<String> takeAndDie() {
    return messages.take(SUBSCRIPTION, 1).stream().map(delivery -> delivery.message().data()).toList();
  }

  @Override
  protected Collection<String> deadLetters() {
    return column("SELECT data FROM dead_letter");
  }

  private List<String> column(String query) {
    return database.query(client -> client.sql(query).query(String.class).list());
  }

  @Test
  void leaseIsExtendedWhileAMessageIsHandled() throws Exception {
    AtomicInteger deliveries = new AtomicInteger();
    CountDownLatch handled = new CountDownLatch(1);
    messages.publish(TOPIC, new Message("long", Map.of()));
    try (Subscription subscription = messages.subscribe(SUBSCRIPTION, 2, message -> {
      deliveries.incrementAndGet();
      String first = column("SELECT visible_time::text FROM message").get(0);
      // Until what was the lease is over, although nobody gave the message back.
      await(() -> column("SELECT clock_timestamp() > '" + first + "'::timestamptz").equals(List.of("t")));
      handled.countDown();
    })) {
      assertThat(handled.await(1, TimeUnit.MINUTES)).isTrue();
    }
    assertThat(deliveries).hasValue(1);
    assertThat(column("SELECT data FROM message")).isEmpty();
  }

  @Test
  void stuckHandlerLosesItsMessageAndDoesNotHoldUpClose() throws Exception {
    QueueMessages impatient = new QueueMessages(
        database,
        Map.of(TOPIC, SUBSCRIPTION),
        new QueueMessages.Times(
            Duration.ofMillis(300), Duration.ofMillis(300), Duration.ofMillis(1), Duration.ofMillis(1), Duration.ofMillis(100)));
    CountDownLatch deliveries = new CountDownLatch(2);
    CountDownLatch never = new CountDownLatch(1);
    impatient.publish(TOPIC, new Message("stuck", Map.of()));
    Subscription subscription = impatient.subscribe(SUBSCRIPTION, 2, message -> {
      deliveries.countDown();
      never.await();
    });
    assertThat(deliveries.await(1, TimeUnit.MINUTES)).isTrue();
    subscription.close();
    assertThat(never.getCount()).isEqualTo(1);
    assertThat(column("SELECT data FROM message")).containsExactly("stuck");
  }

  @Test
  void whoLostAMessageCannotRemoveIt() {
    messages.publish(TOPIC, new Message("slow", Map.of()));
    QueueMessages.Delivery first = messages.take(SUBSCRIPTION, 1).get(0);
    messages.giveBack(first);
    messages.remove(new QueueMessages.Delivery(first.id(), first.number() + 1, first.message()));
    messages.extend(new QueueMessages.Delivery(first.id(), first.number() + 1, first.message()));
    assertThat(column("SELECT data FROM message WHERE deliveries = 1 AND visible_time <= clock_timestamp() + interval '1 second'"))
        .containsExactly("slow");
    messages.remove(first);
    assertThat(column("SELECT data FROM message")).isEmpty();
  }

  @Test
  void pausesGrowAndEnd() {
    QueueMessages.Times times = QueueMessages.Times.DEFAULT;
    assertThat(List.of(times.pause(1), times.pause(2), times.pause(7), times.pause(8), times.pause(Messages.DELIVERIES)))
        .containsExactly(
            Duration.ofMillis(100), Duration.ofMillis(200), Duration.ofMillis(6400), Duration.ofSeconds(10), Duration.ofSeconds(10));
  }

  @Test
  void subscriptionWaitsForItsDatabase() throws Exception {
    database.transact(client -> client.sql("ALTER TABLE message RENAME TO elsewhere").update());
    CountDownLatch handled = new CountDownLatch(1);
    try (Subscription subscription = messages.subscribe(SUBSCRIPTION, 1, message -> handled.countDown())) {
      database.transact(client -> client.sql("ALTER TABLE elsewhere RENAME TO message").update());
      messages.publish(TOPIC, new Message("late", Map.of()));
      assertThat(handled.await(1, TimeUnit.MINUTES)).isTrue();
    }
  }
}

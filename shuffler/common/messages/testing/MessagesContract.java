package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessagingException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What every adapter of messages promises; its test extends this. */
public abstract class MessagesContract {
  protected static final String TOPIC = "requests-topic";
  protected static final String SUBSCRIPTION = "requests-subscription";

  /** For what happens or the test has failed. */
  private static final long PATIENCE_SECONDS = 60;

  private static final Set<Thread.State> AT_REST = EnumSet.of(Thread.State.WAITING, Thread.State.TIMED_WAITING, Thread.State.TERMINATED);

  /** The adapter, with the topic and its subscription, and no messages. */
  protected abstract Messages messages();

  /** Takes a message as a process does that then dies; empty if there is none now. */
  protected abstract List<String> takeAndDie();

  /** The bodies of the dead letters. */
  protected abstract Collection<String> deadLetters();

  private static Message message(String data) {
    return new Message(data, Map.of());
  }

  private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
    T next = queue.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    assertThat(next).as("something that comes within %d s", PATIENCE_SECONDS).isNotNull();
    return next;
  }

  private static void await(CountDownLatch latch) throws InterruptedException {
    assertThat(latch.await(PATIENCE_SECONDS, TimeUnit.SECONDS)).isTrue();
  }

  /** Waits until something holds. */
  protected static void await(BooleanSupplier holds) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    while (!holds.getAsBoolean()) {
      assertThat(System.nanoTime()).as("it holds within %d s", PATIENCE_SECONDS).isLessThan(end);
      Thread.sleep(10);
    }
  }

  @Test
  public void messageArrivesAsItWasSent() throws Exception {
    BlockingQueue<Message> received = new LinkedBlockingQueue<>();
    List<Message> sent = List.of(
        message("{\"requestId\":\"p/1/2/0_b\"}"),
        message("ü € 😀 'quotes' \\ \n\t"),
        new Message("", Map.of("status", "ERROR", "errorReason", "ünknown \"'\\")),
        new Message("both", Map.of("a", "")),
        message("x".repeat(1 << 20)));
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, 2, received::add)) {
      for (Message message : sent) {
        messages().publish(TOPIC, message);
        assertThat(next(received)).isEqualTo(message);
      }
    }
  }

  @Test
  public void messageWaitsForItsSubscriberAndIsGoneOnceHandled() throws Exception {
    BlockingQueue<String> received = new LinkedBlockingQueue<>();
    messages().publish(TOPIC, message("first"));
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, 1, message -> received.add(message.data()))) {
      assertThat(next(received)).isEqualTo("first");
    }
    messages().publish(TOPIC, message("second"));
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, 1, message -> received.add(message.data()))) {
      assertThat(next(received)).isEqualTo("second");
    }
    assertThat(received).isEmpty();
  }

  @Test
  public void messageComesAgainUntilItIsHandled() throws Exception {
    AtomicInteger deliveries = new AtomicInteger();
    CountDownLatch handled = new CountDownLatch(1);
    messages().publish(TOPIC, message("hard"));
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, 2, message -> {
      switch (deliveries.incrementAndGet()) {
        case 1 -> throw new Exception("not yet");
        case 2 -> throw new StackOverflowError("not yet");
        default -> handled.countDown();
      }
    })) {
      await(handled);
    }
    assertThat(deliveries).hasValue(3);
    assertThat(deadLetters()).isEmpty();
  }

  @Test
  public void messageThatNobodyCanHandleIsADeadLetterAndHoldsUpNothing() throws Exception {
    AtomicInteger deliveries = new AtomicInteger();
    BlockingQueue<String> handled = new LinkedBlockingQueue<>();
    messages().publish(TOPIC, message("poison"));
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, 1, message -> {
      if (message.data().equals("poison")) {
        deliveries.incrementAndGet();
        throw new Exception("never");
      }
      handled.add(message.data());
    })) {
      messages().publish(TOPIC, message("good"));
      assertThat(next(handled)).isEqualTo("good");
      await(() -> deadLetters().contains("poison"));
    }
    assertThat(deliveries).hasValue(Messages.DELIVERIES);
    assertThat(deadLetters()).containsExactly("poison");
  }

  @Test
  public void messageOfAProcessThatDiedComesAgain() throws Exception {
    messages().publish(TOPIC, message("held"));
    await(() -> takeAndDie().equals(List.of("held")));
    BlockingQueue<String> received = new LinkedBlockingQueue<>();
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, 1, message -> received.add(message.data()))) {
      assertThat(next(received)).isEqualTo("held");
    }
  }

  @Test
  public void asManyAreHandledAtATimeAsAllowed() throws Exception {
    int most = 3;
    int count = 12;
    AtomicInteger now = new AtomicInteger();
    AtomicInteger peak = new AtomicInteger();
    CyclicBarrier together = new CyclicBarrier(most);
    CountDownLatch handled = new CountDownLatch(count);
    for (int i = 0; i < count; i++) {
      messages().publish(TOPIC, message(Integer.toString(i)));
    }
    try (Subscription subscription = messages().subscribe(SUBSCRIPTION, most, message -> {
      peak.accumulateAndGet(now.incrementAndGet(), Math::max);
      together.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
      now.decrementAndGet();
      handled.countDown();
    })) {
      await(handled);
    }
    assertThat(peak).hasValue(most);
  }

  @Test
  public void subscribersShareTheMessages() throws Exception {
    List<String> sent = IntStream.range(0, 40).mapToObj(Integer::toString).toList();
    Collection<String> received = new ConcurrentLinkedQueue<>();
    CountDownLatch handled = new CountDownLatch(sent.size());
    try (Subscription one = messages().subscribe(SUBSCRIPTION, 2, message -> add(received, message, handled));
        Subscription other = messages().subscribe(SUBSCRIPTION, 2, message -> add(received, message, handled))) {
      sent.forEach(data -> messages().publish(TOPIC, message(data)));
      await(handled);
    }
    assertThat(received).containsExactlyInAnyOrderElementsOf(sent);
  }

  private static void add(Collection<String> received, Message message, CountDownLatch handled) {
    received.add(message.data());
    handled.countDown();
  }

  @Test
  public void closeWaitsForWhatIsBeingHandledAndLetsNothingMoreIn() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CompletableFuture<Thread> closer = new CompletableFuture<>();
    AtomicBoolean finished = new AtomicBoolean();
    AtomicBoolean waited = new AtomicBoolean();
    Subscription subscription = messages().subscribe(SUBSCRIPTION, 1, message -> {
      begun.countDown();
      Thread closing = closer.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
      // Until close() waits, or has not waited.
      await(() -> AT_REST.contains(closing.getState()));
      finished.set(true);
    });
    messages().publish(TOPIC, message("under way"));
    await(begun);
    messages().publish(TOPIC, message("later"));
    Thread closing = new Thread(() -> {
      subscription.close();
      waited.set(finished.get());
    });
    closing.start();
    closer.complete(closing);
    closing.join();
    assertThat(waited).isTrue();
    BlockingQueue<String> received = new LinkedBlockingQueue<>();
    try (Subscription next = messages().subscribe(SUBSCRIPTION, 1, message -> received.add(message.data()))) {
      assertThat(next(received)).isEqualTo("later");
    }
    assertThat(received).isEmpty();
  }

  @Test
  public void whatIsNotThereIsNamed() {
    assertThatCode(() -> messages().checkTopic(TOPIC)).doesNotThrowAnyException();
    assertThatCode(() -> messages().checkSubscription(SUBSCRIPTION)).doesNotThrowAnyException();
    assertThatThrownBy(() -> messages().checkTopic("no-topic")).isInstanceOf(MessagingException.class).hasMessageContaining("no-topic");
    assertThatThrownBy(() -> messages().checkSubscription("no-subscription"))
        .isInstanceOf(MessagingException.class)
        .hasMessageContaining("no-subscription");
    assertThatThrownBy(() -> messages().publish("no-topic", message("lost")))
        .isInstanceOf(MessagingException.class)
        .hasMessageContaining("no-topic");
  }
}

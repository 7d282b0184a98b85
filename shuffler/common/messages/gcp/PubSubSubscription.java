package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.gcp;

import com.google.api.core.ApiService;
import com.google.api.gax.batching.FlowControlSettings;
import com.google.api.gax.core.CredentialsProvider;
import com.google.api.gax.core.FixedExecutorProvider;
import com.google.api.gax.rpc.TransportChannelProvider;
import com.google.cloud.pubsub.v1.AckReplyConsumer;
import com.google.cloud.pubsub.v1.Subscriber;
import com.google.cloud.pubsub.v1.SubscriberShutdownSettings;
import com.google.cloud.pubsub.v1.SubscriberShutdownSettings.ShutdownMode;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.pubsub.v1.ProjectSubscriptionName;
import com.google.pubsub.v1.PubsubMessage;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A streaming pull, begun again when it ends for good.
 *
 * <p>Google's subscriber gives up on some errors, such as a subscription that is not there. A service would then look alive, and do
 * nothing.
 */
final class PubSubSubscription implements Subscription {
  private static final Logger LOG = LoggerFactory.getLogger(PubSubSubscription.class);

  // services.md 1.6
  private static final Duration SHORTEST_EXTENSION = Duration.ofSeconds(5);
  private static final Duration LONGEST_EXTENSION = Duration.ofSeconds(10);
  private static final Duration LONGEST_LEASE = Duration.ofSeconds(600);

  private static final Duration CLOSE = Duration.ofSeconds(20);
  private static final Duration RESTART = Duration.ofSeconds(2);

  private final ProjectSubscriptionName name;
  private final TransportChannelProvider channels;
  private final CredentialsProvider credentials;
  private final int maxOutstanding;
  private final MessageHandler handler;
  private final ScheduledExecutorService handlers;
  private final ScheduledExecutorService restarts;

  private Subscriber subscriber;
  private volatile boolean closed;

  PubSubSubscription(
      ProjectSubscriptionName name,
      TransportChannelProvider channels,
      CredentialsProvider credentials,
      int maxOutstanding,
      MessageHandler handler) {
    this.name = name;
    this.channels = channels;
    this.credentials = credentials;
    this.maxOutstanding = maxOutstanding;
    this.handler = handler;
    this.handlers = Executors.newScheduledThreadPool(maxOutstanding, work -> new Thread(work, name.getSubscription() + "-handler"));
    this.restarts = Executors.newSingleThreadScheduledExecutor(work -> {
      Thread thread = new Thread(work, name.getSubscription() + "-restart");
      thread.setDaemon(true);
      return thread;
    });
    start();
  }

  private synchronized void start() {
    if (closed) {
      return;
    }
    subscriber = Subscriber.newBuilder(name, this::receive)
        .setChannelProvider(channels)
        .setCredentialsProvider(credentials)
        .setExecutorProvider(FixedExecutorProvider.create(handlers))
        .setParallelPullCount(1)
        .setFlowControlSettings(FlowControlSettings.newBuilder().setMaxOutstandingElementCount((long) maxOutstanding).build())
        .setMinDurationPerAckExtensionDuration(SHORTEST_EXTENSION)
        .setMaxDurationPerAckExtensionDuration(LONGEST_EXTENSION)
        .setMaxAckExtensionPeriodDuration(LONGEST_LEASE)
        .setSubscriberShutdownSettings(
            SubscriberShutdownSettings.newBuilder().setMode(ShutdownMode.WAIT_FOR_PROCESSING).setTimeout(CLOSE).build())
        .build();
    subscriber.addListener(
        new ApiService.Listener() {
          @Override
          public void failed(ApiService.State from, Throwable problem) {
            restart(problem);
          }
        },
        // Its own thread: one of ours may have ended when it says that it has stopped.
        Runnable::run);
    subscriber.startAsync();
  }

  private synchronized void restart(Throwable problem) {
    if (!closed) {
      LOG.warn("{}: no messages, trying again: {}", name.getSubscription(), problem.toString());
      restarts.schedule(this::start, RESTART.toMillis(), TimeUnit.MILLISECONDS);
    }
  }

  private void receive(PubsubMessage message, AckReplyConsumer reply) {
    if (closed) {
      reply.nack();
      return;
    }
    try {
      handler.handle(new Message(message.getData().toStringUtf8(), attributes(message)));
    } catch (Throwable problem) { // whatever it is, the message must not be lost
      Integer delivery = Subscriber.getDeliveryAttempt(message);
      LOG.warn("{}: message {}, delivery {}: {}", name.getSubscription(), message.getMessageId(), delivery, problem.toString());
      reply.nack();
      return;
    }
    reply.ack();
  }

  /** Google's client keeps notes of its own among the attributes. */
  private static Map<String, String> attributes(PubsubMessage message) {
    Map<String, String> attributes = new HashMap<>(message.getAttributesMap());
    attributes.keySet().removeIf(name -> name.startsWith("googclient_"));
    return attributes;
  }

  @Override
  public void close() {
    Subscriber last;
    synchronized (this) {
      closed = true;
      last = subscriber;
    }
    try {
      last.stopAsync().awaitTerminated(CLOSE.plus(RESTART).toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException late) {
      LOG.warn("{}: messages are still being handled; they come again", name.getSubscription());
    } catch (IllegalStateException failed) {
      LOG.debug("{}: had ended before", name.getSubscription(), failed);
    }
    restarts.shutdownNow();
    handlers.shutdownNow();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.api.gax.core.NoCredentialsProvider;
import com.google.api.gax.grpc.InstantiatingGrpcChannelProvider;
import com.google.cloud.pubsub.v1.SubscriptionAdminClient;
import com.google.cloud.pubsub.v1.SubscriptionAdminSettings;
import com.google.cloud.pubsub.v1.TopicAdminClient;
import com.google.cloud.pubsub.v1.TopicAdminSettings;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessagingException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.testing.MessagesContract;
import com.google.pubsub.v1.DeadLetterPolicy;
import com.google.pubsub.v1.ProjectSubscriptionName;
import com.google.pubsub.v1.PullRequest;
import com.google.pubsub.v1.TopicName;
import io.grpc.ManagedChannelBuilder;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Messages on a server that speaks Pub/Sub's protocol: toolchains/go/pubsub, which the environment variable PUBSUB names. */
class PubSubMessagesTest extends MessagesContract {
  private static final String DEAD = "dead-letters";

  private static int projects;
  private static Process server;
  private static String endpoint;

  private String project;
  private PubSubMessages messages;
  private TopicAdminClient topics;
  private SubscriptionAdminClient subscriptions;
  // A pull does not acknowledge, so it may bring the same again.
  private final Set<String> deadLetters = new HashSet<>();

  @BeforeAll
  static void startServer() throws IOException {
    server = new ProcessBuilder(System.getenv("PUBSUB")).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    endpoint = new BufferedReader(new InputStreamReader(server.getInputStream(), StandardCharsets.US_ASCII)).readLine();
    assertThat(endpoint).isNotNull();
  }

  @AfterAll
  static void stopServer() throws Exception {
    server.getOutputStream().close();
    assertThat(server.waitFor(1, TimeUnit.MINUTES)).isTrue();
  }

  @BeforeEach
  void makeProject() throws IOException {
    project = "project-" + ++projects;
    InstantiatingGrpcChannelProvider channels = InstantiatingGrpcChannelProvider.newBuilder()
        .setEndpoint(endpoint)
        .setChannelConfigurator(ManagedChannelBuilder::usePlaintext)
        .build();
    topics = TopicAdminClient.create(TopicAdminSettings.newBuilder()
        .setTransportChannelProvider(channels)
        .setCredentialsProvider(NoCredentialsProvider.create())
        .build());
    subscriptions = SubscriptionAdminClient.create(SubscriptionAdminSettings.newBuilder()
        .setTransportChannelProvider(channels)
        .setCredentialsProvider(NoCredentialsProvider.create())
        .build());
    topics.createTopic(TopicName.of(project, TOPIC));
    topics.createTopic(TopicName.of(project, DEAD));
    createSubscription(SUBSCRIPTION, TOPIC);
    createSubscription(DEAD, DEAD);
    messages = PubSubMessages.at(endpoint, project);
  }

  private void createSubscription(String subscription, String topic) {
    com.google.pubsub.v1.Subscription.Builder made = com.google.pubsub.v1.Subscription.newBuilder()
        .setName(ProjectSubscriptionName.format(project, subscription))
        .setTopic(TopicName.format(project, topic))
        .setAckDeadlineSeconds(4);
    if (!topic.equals(DEAD)) {
      made.setDeadLetterPolicy(DeadLetterPolicy.newBuilder()
          .setDeadLetterTopic(TopicName.format(project, DEAD))
          .setMaxDeliveryAttempts(Messages.DELIVERIES));
    }
    subscriptions.createSubscription(made.build());
  }

  @AfterEach
  void close() {
    messages.close();
    topics.close();
    subscriptions.close();
  }

  @Override
  protected Messages messages() {
    return messages;
  }

  private List<String> pull(String subscription) {
    PullRequest request = PullRequest.newBuilder()
        .setSubscription(ProjectSubscriptionName.format(project, subscription))
        .setMaxMessages(1)
        .setReturnImmediately(true)
        .build();
    return subscriptions.pullCallable().call(request).getReceivedMessagesList().stream()
        .map(received -> received.getMessage().getData().toStringUtf8())
        .toList();
  }

  @Override
  protected List<String> takeAndDie() {
    return pull(SUBSCRIPTION);
  }

  @Override
  protected Collection<String> deadLetters() {
    deadLetters.addAll(pull(DEAD));
    return deadLetters;
  }

  @Test
  void subscriptionMayComeLater() throws Exception {
    CountDownLatch handled = new CountDownLatch(1);
    try (Subscription early = messages.subscribe("later-subscription", 1, message -> handled.countDown())) {
      assertThatThrownBy(() -> messages.checkSubscription("later-subscription"))
          .isInstanceOf(MessagingException.class)
          .hasMessage("subscription later-subscription: expected it and the permission pubsub.subscriptions.consume, "
              + "found one of them at most");
      createSubscription("later-subscription", TOPIC);
      messages.publish(TOPIC, new Message("late", Map.of()));
      assertThat(handled.await(1, TimeUnit.MINUTES)).isTrue();
    }
  }

  @Test
  void subscriptionThatNeverCameIsClosed() {
    messages.subscribe("no-subscription", 1, message -> {}).close();
  }

  @Test
  void unknownServerIsAnErrorAndNotAWait() {
    // Nobody listens on port 1.
    try (PubSubMessages nowhere = PubSubMessages.at("127.0.0.1:1", project)) {
      assertThatThrownBy(() -> nowhere.checkTopic(TOPIC))
          .isInstanceOf(MessagingException.class)
          .hasMessage("topic " + TOPIC + ": Pub/Sub does not answer: UNAVAILABLE");
    }
  }
}

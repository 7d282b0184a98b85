package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.gcp;

import com.google.api.gax.core.CredentialsProvider;
import com.google.api.gax.core.NoCredentialsProvider;
import com.google.api.gax.grpc.InstantiatingGrpcChannelProvider;
import com.google.api.gax.rpc.ApiException;
import com.google.api.gax.rpc.StatusCode;
import com.google.api.gax.rpc.TransportChannelProvider;
import com.google.cloud.pubsub.v1.SubscriptionAdminClient;
import com.google.cloud.pubsub.v1.SubscriptionAdminSettings;
import com.google.cloud.pubsub.v1.TopicAdminClient;
import com.google.cloud.pubsub.v1.TopicAdminSettings;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessagingException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.iam.v1.TestIamPermissionsRequest;
import com.google.iam.v1.TestIamPermissionsResponse;
import com.google.protobuf.ByteString;
import com.google.pubsub.v1.ProjectSubscriptionName;
import com.google.pubsub.v1.PubsubMessage;
import com.google.pubsub.v1.TopicName;
import io.grpc.ManagedChannelBuilder;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Set;

/** Messages in Google Cloud Pub/Sub. Pauses between deliveries, and dead letters, are what the subscriptions are set up for. */
public final class PubSubMessages implements Messages, AutoCloseable {
  private static final Duration CHECK = Duration.ofSeconds(10);

  // A call that finds Pub/Sub unavailable is repeated by the client; not longer than this.
  private static final Duration PUBLISH = Duration.ofSeconds(60);

  private final String project;
  private final TransportChannelProvider channels;
  private final CredentialsProvider credentials;
  private final TopicAdminClient topics;
  private final SubscriptionAdminClient subscriptions;

  /**
   * Pub/Sub of a project, with the credentials of the machine.
   *
   * @throws MessagingException if there are none
   */
  public PubSubMessages(String project) {
    this(project, TopicAdminSettings.defaultGrpcTransportProviderBuilder().build(), credentialsOfTheMachine());
  }

  /** Another server that speaks Pub/Sub's protocol, without TLS and credentials. */
  static PubSubMessages at(String endpoint, String project) {
    InstantiatingGrpcChannelProvider plain = TopicAdminSettings.defaultGrpcTransportProviderBuilder()
        .setEndpoint(endpoint)
        .setChannelConfigurator(ManagedChannelBuilder::usePlaintext)
        .build();
    return new PubSubMessages(project, plain, NoCredentialsProvider.create());
  }

  private PubSubMessages(String project, TransportChannelProvider channels, CredentialsProvider credentials) {
    this.project = project;
    this.channels = channels;
    this.credentials = credentials;
    try {
      TopicAdminSettings.Builder ofTopics =
          TopicAdminSettings.newBuilder().setTransportChannelProvider(channels).setCredentialsProvider(credentials);
      ofTopics.publishSettings().retrySettings().setTotalTimeoutDuration(PUBLISH);
      ofTopics.testIamPermissionsSettings().setSimpleTimeoutNoRetriesDuration(CHECK);
      topics = TopicAdminClient.create(ofTopics.build());
      SubscriptionAdminSettings.Builder ofSubscriptions =
          SubscriptionAdminSettings.newBuilder().setTransportChannelProvider(channels).setCredentialsProvider(credentials);
      ofSubscriptions.testIamPermissionsSettings().setSimpleTimeoutNoRetriesDuration(CHECK);
      subscriptions = SubscriptionAdminClient.create(ofSubscriptions.build());
    } catch (IOException problem) {
      throw new MessagingException("Pub/Sub: no credentials: " + problem.getMessage(), problem);
    }
  }

  private static CredentialsProvider credentialsOfTheMachine() {
    return TopicAdminSettings.defaultCredentialsProviderBuilder().build();
  }

  @Override
  public void publish(String topic, Message message) {
    PubsubMessage sent =
        PubsubMessage.newBuilder().setData(ByteString.copyFromUtf8(message.data())).putAllAttributes(message.attributes()).build();
    try {
      topics.publish(TopicName.of(project, topic), List.of(sent));
    } catch (ApiException problem) {
      throw failure("topic " + topic + ": the message is not kept", problem);
    }
  }

  @Override
  public Subscription subscribe(String subscription, int maxOutstanding, MessageHandler handler) {
    return new PubSubSubscription(
        ProjectSubscriptionName.of(project, subscription), channels, credentials, maxOutstanding, handler);
  }

  @Override
  public void checkTopic(String topic) {
    requirePermission("topic " + topic, "pubsub.topics.publish", TopicName.of(project, topic).toString(), topics::testIamPermissions);
  }

  @Override
  public void checkSubscription(String subscription) {
    requirePermission(
        "subscription " + subscription,
        "pubsub.subscriptions.consume",
        ProjectSubscriptionName.of(project, subscription).toString(),
        subscriptions::testIamPermissions);
  }

  /** A call that needs no permission itself. Whoever may only publish or consume may not look a topic up. */
  private interface PermissionTest {
    TestIamPermissionsResponse of(TestIamPermissionsRequest request);
  }

  private static void requirePermission(String what, String permission, String resource, PermissionTest test) {
    TestIamPermissionsRequest request =
        TestIamPermissionsRequest.newBuilder().setResource(resource).addPermissions(permission).build();
    Set<String> granted;
    try {
      granted = Set.copyOf(test.of(request).getPermissionsList());
    } catch (ApiException problem) {
      throw failure(what + ": Pub/Sub does not answer", problem);
    }
    if (!granted.contains(permission)) {
      throw new MessagingException(what + ": expected it and the permission " + permission + ", found one of them at most");
    }
  }

  private static MessagingException failure(String what, ApiException problem) {
    StatusCode.Code code = problem.getStatusCode().getCode();
    return new MessagingException(what + ": " + code, problem);
  }

  @Override
  public void close() {
    topics.close();
    subscriptions.close();
  }
}

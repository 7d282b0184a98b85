package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;

/**
 * What messages are sent to and received from, by the options; in the profile local there are names for one machine. Each is read when it
 * is asked for: a service has no access to the names that it does not use.
 */
public final class QueueNames {
  private final OptionValues fcp;

  QueueNames(OptionValues fcp) {
    this.fcp = fcp;
  }

  /** The collector asks for sums here. */
  public String aggregatorTopic() {
    return name(FcpOptions.AGGREGATOR_PUBSUB_TOPIC, "aggregator-local-topic");
  }

  /** The aggregator receives them from here. */
  public String aggregatorSubscription() {
    return name(FcpOptions.AGGREGATOR_PUBSUB_SUBSCRIPTION, "aggregator-local-subscription");
  }

  /** The collector asks for models here. */
  public String modelUpdaterTopic() {
    return name(FcpOptions.MODEL_UPDATER_PUBSUB_TOPIC, "model-updater-local-topic");
  }

  /** The model updater receives them from here. */
  public String modelUpdaterSubscription() {
    return name(FcpOptions.MODEL_UPDATER_PUBSUB_SUBSCRIPTION, "model-updater-local-subscription");
  }

  /** The aggregator tells of failures here. */
  public String notificationTopic() {
    return name(FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC, "aggregator-notifications-local-topic");
  }

  /** The collector receives them from here. */
  public String notificationSubscription() {
    return name(FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION, "aggregator-notifications-local-subscription");
  }

  private String name(Option<String> option, String ofOneMachine) {
    return fcp.get(option).orElse(ofOneMachine);
  }
}

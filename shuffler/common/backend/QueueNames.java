package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;

/**
 * What messages are sent to and received from, by the options; in the profile local there are names for one machine.
 *
 * @param aggregatorTopic the collector asks for sums here
 * @param aggregatorSubscription the aggregator receives them from here
 * @param modelUpdaterTopic the collector asks for models here
 * @param modelUpdaterSubscription the model updater receives them from here
 * @param notificationTopic the aggregator tells of failures here
 * @param notificationSubscription the collector receives them from here
 */
public record QueueNames(
    String aggregatorTopic,
    String aggregatorSubscription,
    String modelUpdaterTopic,
    String modelUpdaterSubscription,
    String notificationTopic,
    String notificationSubscription) {

  static QueueNames of(OptionValues fcp) {
    return new QueueNames(
        fcp.get(FcpOptions.AGGREGATOR_PUBSUB_TOPIC).orElse("aggregator-local-topic"),
        fcp.get(FcpOptions.AGGREGATOR_PUBSUB_SUBSCRIPTION).orElse("aggregator-local-subscription"),
        fcp.get(FcpOptions.MODEL_UPDATER_PUBSUB_TOPIC).orElse("model-updater-local-topic"),
        fcp.get(FcpOptions.MODEL_UPDATER_PUBSUB_SUBSCRIPTION).orElse("model-updater-local-subscription"),
        fcp.get(FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC).orElse("aggregator-notifications-local-topic"),
        fcp.get(FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION).orElse("aggregator-notifications-local-subscription"));
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.NotificationEndpoint;
import java.time.Duration;
import java.util.Optional;

/**
 * How a deployment wants uploads collected.
 *
 * @param batchSize contributions that are aggregated at once
 * @param failureThreshold an iteration fails if more than this number of batches' contributions are lost; no limit if there is none
 * @param localComputeTimeout how long a device may take to report
 * @param uploadTimeout how long it may take from there to its upload
 * @param aggregatorTopic where batches are sent
 * @param modelUpdaterTopic where sums of iterations are sent
 * @param notificationEndpoint where the aggregator is told to tell of failures
 */
public record CollectorSettings(
    int batchSize,
    Optional<Long> failureThreshold,
    Duration localComputeTimeout,
    Duration uploadTimeout,
    String aggregatorTopic,
    String modelUpdaterTopic,
    NotificationEndpoint notificationEndpoint) {}

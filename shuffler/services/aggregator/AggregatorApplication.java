package com.google.ondevicepersonalization.federatedcompute.shuffler.aggregator;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.AggregationCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.PlanAggregation;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Workspace;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobStore;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.MessageQueue;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.QueueNames;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.keys.LocalKeyServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.keys.PayloadKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.EncryptionOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tensorflow.TensorflowCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;

/** Aggregates batches of uploads, in a TEE. In the profile local it also publishes the public key. */
@SpringBootApplication
@Import({BlobStore.class, MessageQueue.class, PayloadKeys.class, LocalKeyServer.class})
public class AggregatorApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(
        AggregatorApplication.class,
        "Aggregator",
        8082,
        AggregatorApplication::needs,
        arguments,
        TensorflowCheck::run,
        AggregationCheck::run);
  }

  private static List<Option<?>> needs(StartOptions options) {
    List<Option<?>> queues =
        List.of(FcpOptions.AGGREGATOR_PUBSUB_SUBSCRIPTION, FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC);
    return Stream.of(BlobStore.needs(options), MessageQueue.needs(options, queues), PayloadKeys.needs(options))
        .<Option<?>>flatMap(List::stream)
        .toList();
  }

  @Bean
  Workspace workspace() {
    return new Workspace();
  }

  @Bean
  BatchAggregator batchAggregator(
      Blobs blobs,
      BlobLayout layout,
      Payloads payloads,
      Workspace workspace,
      Messages messages,
      QueueNames names,
      @Qualifier("fcpOptions") OptionValues fcp,
      @Qualifier("encryptionOptions") OptionValues encryption,
      MeterRegistry meters) {
    BatchAggregator.Settings settings = new BatchAggregator.Settings(
        encryption.get(EncryptionOptions.SHOULD_ENCRYPT_AGGREGATOR_OUTPUT).orElseThrow(),
        fcp.get(FcpOptions.ENABLE_AGGREGATION_SUCCESS_NOTIFICATIONS).orElseThrow(),
        names.notificationTopic());
    return new BatchAggregator(
        blobs,
        layout,
        payloads,
        plan -> PlanAggregation.begin(plan, workspace.folder()),
        workspace.reduction(),
        messages,
        settings,
        meters);
  }

  @Bean
  BoundedCheck queueCheck(Messages messages, QueueNames names) {
    return MessageQueue.check(messages, List.of(names.notificationTopic()), List.of(names.aggregatorSubscription()));
  }

  @Bean
  Subscription batches(
      Messages messages, QueueNames names, BatchAggregator aggregator, @Qualifier("fcpOptions") OptionValues fcp) {
    return messages.subscribe(
        names.aggregatorSubscription(),
        Math.toIntExact(fcp.get(FcpOptions.AGGREGATOR_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT).orElseThrow()),
        aggregator::handle);
  }
}

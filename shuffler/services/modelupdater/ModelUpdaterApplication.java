package com.google.ondevicepersonalization.federatedcompute.shuffler.modelupdater;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.AggregationCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Workspace;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobStore;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.MessageQueue;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.QueueNames;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.keys.PayloadKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
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

/** Makes new models of aggregates, in a TEE. */
@SpringBootApplication
@Import({BlobStore.class, MessageQueue.class, PayloadKeys.class})
public class ModelUpdaterApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(
        ModelUpdaterApplication.class,
        "Model Updater",
        8082,
        ModelUpdaterApplication::needs,
        arguments,
        TensorflowCheck::run,
        AggregationCheck::run);
  }

  private static List<Option<?>> needs(StartOptions options) {
    List<Option<?>> queues = List.of(FcpOptions.MODEL_UPDATER_PUBSUB_SUBSCRIPTION);
    return Stream.of(BlobStore.needs(options), MessageQueue.needs(options, queues), PayloadKeys.needs(options))
        .<Option<?>>flatMap(List::stream)
        .toList();
  }

  @Bean
  Workspace workspace() {
    return new Workspace();
  }

  @Bean
  ModelUpdater modelUpdater(Blobs blobs, BlobLayout layout, Payloads payloads, Workspace workspace, MeterRegistry meters) {
    return new ModelUpdater(blobs, layout, payloads, workspace.reduction(), workspace.folder(), meters);
  }

  @Bean
  BoundedCheck queueCheck(Messages messages, QueueNames names) {
    return MessageQueue.check(messages, List.of(), List.of(names.modelUpdaterSubscription()));
  }

  @Bean
  Subscription iterations(
      Messages messages, QueueNames names, ModelUpdater updater, @Qualifier("fcpOptions") OptionValues fcp) {
    return messages.subscribe(
        names.modelUpdaterSubscription(),
        Math.toIntExact(fcp.get(FcpOptions.MODEL_UPDATER_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT).orElseThrow()),
        updater::handle);
  }
}

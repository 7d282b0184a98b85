package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.gcp.PubSubMessages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.local.QueueMessages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Profile;

/** The messages between services. On one machine they are in tables beside those of the tasks. */
@Configuration(proxyBeanMethods = false)
@Import({MessageQueue.Cloud.class, MessageQueue.Local.class})
public class MessageQueue {
  /**
   * The options without which there are none.
   *
   * @param names the options for the topics and subscriptions that a service uses
   */
  public static List<Option<?>> needs(StartOptions options, List<Option<?>> names) {
    return switch (options.profile()) {
      case LOCAL -> List.of(LocalOptions.DATABASE_URL, LocalOptions.DATABASE_USER, LocalOptions.DATABASE_PASSWORD);
      case GCP -> Stream.concat(names.stream(), Stream.of(FcpOptions.PROJECT_ID)).<Option<?>>map(name -> name).toList();
    };
  }

  /** Whether a service reaches what it sends to and receives from. */
  public static BoundedCheck check(Messages messages, List<String> topics, List<String> subscriptions) {
    return new BoundedCheck("messages", () -> {
      topics.forEach(messages::checkTopic);
      subscriptions.forEach(messages::checkSubscription);
    });
  }

  @Bean
  QueueNames queueNames(@Qualifier("fcpOptions") OptionValues fcp) {
    return new QueueNames(fcp);
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("gcp")
  static class Cloud {
    @Bean
    PubSubMessages messages(@Qualifier("fcpOptions") OptionValues fcp) {
      return new PubSubMessages(fcp.get(FcpOptions.PROJECT_ID).orElseThrow());
    }
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("local")
  static class Local {
    @Bean
    LocalDatabase localQueueDatabase(@Qualifier("localOptions") OptionValues local, MeterRegistry meters) {
      return new LocalDatabase(local, LocalOptions.DATABASE_URL, List.of(Schema.QUEUE), meters);
    }

    @Bean
    Messages messages(@Qualifier("localQueueDatabase") LocalDatabase local, QueueNames names) {
      return new QueueMessages(new Database(local.source()), Map.of(
          names.aggregatorTopic(), names.aggregatorSubscription(),
          names.modelUpdaterTopic(), names.modelUpdaterSubscription(),
          names.notificationTopic(), names.notificationSubscription()));
    }
  }
}

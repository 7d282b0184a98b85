package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Profile;

/** The metrics database, as the bean {@code metricsDatabase}. */
@Configuration(proxyBeanMethods = false)
@Import({MetricTables.Cloud.class, MetricTables.Local.class})
public class MetricTables {
  /** The options without which there is none. */
  public static List<Option<?>> needs(StartOptions options) {
    return switch (options.profile()) {
      case LOCAL -> List.of(LocalOptions.METRICS_DATABASE_URL, LocalOptions.DATABASE_USER, LocalOptions.DATABASE_PASSWORD);
      case GCP -> List.of(FcpOptions.PROJECT_ID, FcpOptions.METRICS_SPANNER_INSTANCE, FcpOptions.METRICS_DATABASE_NAME);
    };
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("gcp")
  static class Cloud {
    @Bean
    CloudDatabase cloudMetricsDatabase(@Qualifier("fcpOptions") OptionValues fcp, MeterRegistry meters) {
      return new CloudDatabase(fcp, FcpOptions.METRICS_SPANNER_INSTANCE, FcpOptions.METRICS_DATABASE_NAME, meters);
    }

    @Bean
    Database metricsDatabase(@Qualifier("cloudMetricsDatabase") CloudDatabase cloud) {
      return cloud.database();
    }

    @Bean
    BoundedCheck metricsDatabaseCheck(@Qualifier("cloudMetricsDatabase") CloudDatabase cloud) {
      return cloud.readiness("metrics database");
    }
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("local")
  static class Local {
    @Bean
    LocalDatabase localMetricsDatabase(@Qualifier("localOptions") OptionValues local, MeterRegistry meters) {
      return new LocalDatabase(local, LocalOptions.METRICS_DATABASE_URL, List.of(Schema.METRICS), meters);
    }

    @Bean
    Database metricsDatabase(@Qualifier("localMetricsDatabase") LocalDatabase local) {
      return new Database(local.source());
    }

    @Bean
    BoundedCheck metricsDatabaseCheck(@Qualifier("localMetricsDatabase") LocalDatabase local) {
      return local.readiness("metrics database");
    }
  }
}

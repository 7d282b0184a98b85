package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Lazy;
import org.springframework.context.annotation.Profile;

/** The task database and what is stored in it, locks, and the clock. */
@Configuration(proxyBeanMethods = false)
@Import({TaskTables.Cloud.class, TaskTables.Local.class})
public class TaskTables {
  /** The options without which there is none. */
  public static List<Option<?>> needs(StartOptions options) {
    return switch (options.profile()) {
      case LOCAL -> List.of(LocalOptions.DATABASE_URL, LocalOptions.DATABASE_USER, LocalOptions.DATABASE_PASSWORD);
      case GCP -> List.of(FcpOptions.PROJECT_ID, FcpOptions.SPANNER_INSTANCE, FcpOptions.TASK_DATABASE_NAME);
    };
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("gcp")
  static class Cloud {
    @Bean
    CloudDatabase cloudTaskDatabase(@Qualifier("fcpOptions") OptionValues fcp, MeterRegistry meters) {
      return new CloudDatabase(fcp, FcpOptions.SPANNER_INSTANCE, FcpOptions.TASK_DATABASE_NAME, meters);
    }

    @Bean
    Database taskDatabase(@Qualifier("cloudTaskDatabase") CloudDatabase cloud) {
      return cloud.database();
    }

    @Bean
    BoundedCheck taskDatabaseCheck(@Qualifier("cloudTaskDatabase") CloudDatabase cloud) {
      return cloud.readiness("task database");
    }
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("local")
  static class Local {
    @Bean
    LocalDatabase localTaskDatabase(@Qualifier("localOptions") OptionValues local, MeterRegistry meters) {
      return new LocalDatabase(local, LocalOptions.DATABASE_URL, List.of(Schema.TASKS), meters);
    }

    @Bean
    Database taskDatabase(@Qualifier("localTaskDatabase") LocalDatabase local) {
      return new Database(local.source());
    }

    @Bean
    BoundedCheck taskDatabaseCheck(@Qualifier("localTaskDatabase") LocalDatabase local) {
      return local.readiness("task database");
    }
  }

  @Bean
  @Lazy // not every service takes locks
  Locks locks(@Qualifier("taskDatabase") Database database) {
    return new Locks(database);
  }

  @Bean
  Tasks tasks(@Qualifier("taskDatabase") Database database) {
    return new Tasks(database);
  }

  @Bean
  Iterations iterations(@Qualifier("taskDatabase") Database database) {
    return new Iterations(database);
  }

  @Bean
  Assignments assignments(@Qualifier("taskDatabase") Database database) {
    return new Assignments(database);
  }

  @Bean
  Batches batches(@Qualifier("taskDatabase") Database database) {
    return new Batches(database);
  }
}

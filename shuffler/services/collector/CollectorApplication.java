package com.google.ondevicepersonalization.federatedcompute.shuffler.collector;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Import;

/** Collects uploads of devices and has them aggregated. */
@SpringBootApplication
@Import(CollectorConfiguration.class)
public class CollectorApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(CollectorApplication.class, "Collector", 8082, CollectorConfiguration::needs, arguments);
  }
}

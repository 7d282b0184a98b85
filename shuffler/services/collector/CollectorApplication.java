package com.google.ondevicepersonalization.federatedcompute.shuffler.collector;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import java.util.List;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Collects uploads of devices and has them aggregated. */
@SpringBootApplication
public class CollectorApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(CollectorApplication.class, "Collector", 8082, options -> List.of(), arguments);
  }
}

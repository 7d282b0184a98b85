package com.google.ondevicepersonalization.federatedcompute.shuffler.aggregator;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Aggregates batches of uploads, in a TEE. */
@SpringBootApplication
public class AggregatorApplication {
    public static void main(String[] arguments) {
        ServiceApplication.run(AggregatorApplication.class, "Aggregator", 8082, arguments);
    }
}

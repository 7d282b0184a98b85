package com.google.ondevicepersonalization.federatedcompute.shuffler.aggregator;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.AggregationCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tensorflow.TensorflowCheck;
import java.util.List;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Aggregates batches of uploads, in a TEE. */
@SpringBootApplication
public class AggregatorApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(AggregatorApplication.class, "Aggregator", 8082, options -> List.of(), arguments, TensorflowCheck::run, AggregationCheck::run);
  }
}

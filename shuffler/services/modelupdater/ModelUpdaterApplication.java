package com.google.ondevicepersonalization.federatedcompute.shuffler.modelupdater;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.AggregationCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tensorflow.TensorflowCheck;
import java.util.List;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Applies aggregates to models, in a TEE. */
@SpringBootApplication
public class ModelUpdaterApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(ModelUpdaterApplication.class, "Model Updater", 8082, options -> List.of(), arguments, TensorflowCheck::run, AggregationCheck::run);
  }
}

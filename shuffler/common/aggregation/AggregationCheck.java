package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.ReadinessCheck;
import com.google.fcp.aggregation.AggregationException;
import com.google.fcp.aggregation.AggregationSession;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.List;

/** The service runs the aggregation library: it loaded it and summed checkpoints of TensorFlow before it started. */
public final class AggregationCheck implements ReadinessCheck {
  private AggregationCheck() {}

  /**
   * Loads the library and compares the sum of two checkpoints, each with x = [1, 2], with the sum of one with x = [2, 4].
   *
   * @throws StartException if the library cannot be loaded, or sums wrongly
   */
  public static AggregationCheck run() {
    byte[] configuration = resource("sum_of_x.configuration");
    byte[] single = resource("x_1_2.checkpoint");
    byte[] doubled = resource("x_2_4.checkpoint");
    try (AggregationSession sum = AggregationSession.create(configuration);
        AggregationSession expected = AggregationSession.create(configuration)) {
      sum.accumulate(List.of(single, single));
      expected.accumulate(List.of(doubled));
      if (!Arrays.equals(sum.report(), expected.report())) {
        throw StartException.failure("aggregation (libaggregation-jni.so): sums [1, 2] and [1, 2] wrongly");
      }
      return new AggregationCheck();
    } catch (UnsatisfiedLinkError | AggregationException problem) {
      throw StartException.failure("aggregation (libaggregation-jni.so): " + problem.getMessage());
    }
  }

  private static byte[] resource(String name) {
    try (InputStream stream = AggregationCheck.class.getResourceAsStream("/shuffler/common/aggregation/" + name)) {
      return stream.readAllBytes();
    } catch (IOException broken) {
      throw StartException.failure("aggregation: the jar holds no readable " + name);
    }
  }

  @Override
  public String check() {
    return "The aggregation library summed two checkpoints.";
  }
}

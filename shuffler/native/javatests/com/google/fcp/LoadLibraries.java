package com.google.fcp;

import static com.google.fcp.testing.Messages.federatedSum;
import static com.google.fcp.testing.Messages.restoreGraph;
import static com.google.fcp.testing.Messages.saveGraph;
import static com.google.fcp.testing.Messages.string;
import static com.google.fcp.testing.Messages.strings;
import static com.google.fcp.testing.Messages.vector;

import com.google.fcp.aggregation.AggregationSession;
import com.google.fcp.tensorflow.TensorflowSession;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Loads both libraries into one JVM and lets each read what the other wrote. Prints the version of TensorFlow, the time to load and
 * check it, and the resident memory after it.
 */
public final class LoadLibraries {
  private LoadLibraries() {}

  public static void main(String[] arguments) throws Exception {
    long start = System.nanoTime();
    String version = TensorflowSession.checkTensorflow();
    System.out.printf("tensorflow %s loaded and run in %d ms%n", version, (System.nanoTime() - start) / 1_000_000);

    Path directory = Path.of(System.getenv("TEST_TMPDIR"));
    Path checkpoint = directory.resolve("checkpoint");
    try (TensorflowSession session = TensorflowSession.create(saveGraph())) {
      session.run(
          Map.of("file", string(checkpoint.toString()), "names", strings("x"), "x", vector(1.5f, 2)), List.of(), List.of("save"));
    }
    byte[] contribution = Files.readAllBytes(checkpoint);
    AggregationSession.checkFinite(contribution);
    Path sum = directory.resolve("sum");
    try (AggregationSession session = AggregationSession.create(federatedSum("x", "y", 2))) {
      session.accumulate(List.of(contribution, contribution));
      Files.write(sum, session.report());
    }
    try (TensorflowSession session = TensorflowSession.create(restoreGraph())) {
      byte[] restored =
          session.run(Map.of("file", string(sum.toString()), "name", string("y")), List.of("restore"), List.of()).get(0);
      if (!Arrays.equals(restored, vector(3, 4))) {
        throw new IllegalStateException("the sum is wrong");
      }
    }
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS") || line.startsWith("VmHWM")) {
        System.out.println(line);
      }
    }
  }
}

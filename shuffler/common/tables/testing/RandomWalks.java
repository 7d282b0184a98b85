package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random walks of a backend on an adapter of the tables: after each step everything must make sense, and in the end come to its end.
 *
 * <p>A walk is named by its seed. WALK_SEED in the environment names the first one, WALK_COUNT says how many there are.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class RandomWalks {
  /** One walk; it says of itself how it went. */
  public interface Walk extends AutoCloseable {
    /** Something happens. */
    void step() throws Exception;

    /** Fails if something does not make sense. */
    void check();

    /** Lets everything come to its end. */
    void finish() throws Exception;
  }

  private static final long FIRST = Long.parseLong(System.getenv().getOrDefault("WALK_SEED", "1"));

  @RegisterExtension final TestServer server;
  @TempDir Path folder;

  private final int steps;
  private final long walks;

  /**
   * Walks on an adapter of the tables.
   *
   * @param steps of a walk
   * @param walks how many, if WALK_COUNT does not say it
   */
  protected RandomWalks(TestServer server, int steps, long walks) {
    this.server = server;
    this.steps = steps;
    this.walks = Long.parseLong(System.getenv().getOrDefault("WALK_COUNT", Long.toString(walks)));
  }

  /**
   * Begins a walk.
   *
   * @param folder for its files, which are other walks', too
   */
  protected abstract Walk begin(TestServer server, Path folder, long seed) throws IOException;

  @TestFactory
  Stream<DynamicTest> walks() {
    return LongStream.range(FIRST, FIRST + walks).mapToObj(seed -> dynamicTest("walk " + seed, () -> {
      try (Walk walk = begin(server, folder, seed)) {
        for (int step = 0; step < steps; step++) {
          walk.step();
          walk.check();
        }
        walk.finish();
        walk.check();
        System.out.println("walk " + seed + ": " + walk);
      }
    }));
  }
}

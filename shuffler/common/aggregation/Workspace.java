package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Where a service that sees contributions works: threads, and a folder of the memory file system for TensorFlow's files. */
public final class Workspace implements AutoCloseable {
  // Nothing of a contribution or a model reaches a disk.
  private static final Path FOLDER = Path.of("/dev/shm/cache");
  private static final long LONGEST_SECONDS = 20;

  private final Path folder;
  private final int processors = Runtime.getRuntime().availableProcessors();
  private final ExecutorService threads;

  /** Makes it, and removes what a killed process left in the folder. */
  public Workspace() {
    this(FOLDER);
  }

  public Workspace(Path folder) {
    this.folder = folder;
    try {
      remove(folder);
      Files.createDirectories(
          folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException problem) {
      throw new UncheckedIOException("cannot make an empty folder " + folder + ": " + problem, problem);
    }
    threads = Executors.newFixedThreadPool(processors);
  }

  public Path folder() {
    return folder;
  }

  /** Sums on all processors. */
  public Reduction reduction() {
    return new Reduction(threads, processors + 1);
  }

  /** Ends the threads and removes the folder. */
  @Override
  public void close() {
    threads.shutdownNow();
    try {
      threads.awaitTermination(LONGEST_SECONDS, TimeUnit.SECONDS);
      remove(folder);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
    } catch (IOException problem) {
      throw new UncheckedIOException("cannot remove " + folder + ": " + problem, problem);
    }
  }

  private static void remove(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    List<Path> files;
    try (Stream<Path> found = Files.walk(folder)) {
      files = found.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.delete(file);
    }
  }
}

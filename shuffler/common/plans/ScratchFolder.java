package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * A folder for the files of one call. Only this user may look into it, nobody can guess its name, and it goes away with all that lies in
 * it: also what TensorFlow left there when it failed in the middle of a file.
 */
final class ScratchFolder implements AutoCloseable {
  private final Path folder;

  ScratchFolder(Path parent) {
    try {
      Files.createDirectories(parent);
      folder = Files.createTempDirectory(
          parent, "plan", PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException problem) {
      throw new UncheckedIOException("cannot make a folder for checkpoints in " + parent + ": " + problem, problem);
    }
  }

  /** A file that is not there yet. */
  Path file(String name) {
    return folder.resolve(name);
  }

  /** A new file. */
  Path write(String name, byte[] content) {
    try {
      return Files.write(
          Files.createFile(file(name), PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))), content);
    } catch (IOException problem) {
      throw new UncheckedIOException("cannot write a checkpoint of " + content.length + " bytes to " + folder + ": " + problem, problem);
    }
  }

  /**
   * What an operation wrote.
   *
   * @param what was to write it, for the message
   * @throws PlanException if it wrote nothing
   */
  byte[] read(String name, String what) {
    if (!Files.isRegularFile(file(name))) {
      throw new PlanException(what + ": expected that it writes a V1 checkpoint to the file that it is given, found none");
    }
    try {
      return Files.readAllBytes(file(name));
    } catch (IOException problem) {
      throw new UncheckedIOException("cannot read a checkpoint in " + folder + ": " + problem, problem);
    }
  }

  @Override
  public void close() {
    // TensorFlow writes beside the file that it is told, never below it.
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
      for (Path file : files) {
        Files.delete(file);
      }
      Files.delete(folder);
    } catch (IOException problem) {
      throw new UncheckedIOException("cannot remove " + folder + ": " + problem, problem);
    }
  }
}

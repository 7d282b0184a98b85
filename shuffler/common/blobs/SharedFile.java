package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** A secret that the processes of one machine share: a file, which the first that asks makes. */
public final class SharedFile {
  /** Makes what is in the file. */
  @FunctionalInterface
  public interface Maker<E extends Exception> {
    /** New content. */
    byte[] make() throws E;
  }

  private SharedFile() {}

  /**
   * What is in the file.
   *
   * @param maker of what is in it, if it is not there
   * @throws IOException if it cannot be made or read
   */
  public static <E extends Exception> byte[] read(Path file, Maker<E> maker) throws IOException, E {
    if (!Files.exists(file)) {
      Files.createDirectories(file.getParent());
      Path fresh = Files.createTempFile(
          file.getParent(),
          file.getFileName().toString(),
          "",
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      try {
        Files.write(fresh, maker.make());
        // Whoever links first wins, and the file is whole when it appears.
        Files.createLink(file, fresh);
      } catch (FileAlreadyExistsException otherWasFirst) {
        // It is read below.
      } finally {
        Files.delete(fresh);
      }
    }
    return Files.readAllBytes(file);
  }
}

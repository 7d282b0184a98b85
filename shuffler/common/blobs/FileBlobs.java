package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * Blobs in a folder: what the profile {@code local} uses.
 *
 * <p>The blob {@code gs://bucket/key} is the file {@code bucket/key}: like an answer of HTTP, headers (one, Content-Encoding), an empty
 * line, and the content. It is written beside its place, synchronized, and renamed or linked.
 */
public final class FileBlobs implements Blobs {
  private static final byte[] GZIP = "Content-Encoding: gzip\n\n".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] IDENTITY = "Content-Encoding: identity\n\n".getBytes(StandardCharsets.US_ASCII);
  private static final String NEW = ".new";

  /** Content with more bytes than a blob may have. */
  public static final class TooLargeException extends BlobException {
    private static final long serialVersionUID = 1;

    TooLargeException(BlobName name, int limit) {
      super(name + ": expected at most " + limit + " bytes, found more");
    }
  }

  /** Content that its sender did not send as a whole. */
  public static final class IncompleteException extends BlobException {
    private static final long serialVersionUID = 1;

    IncompleteException(BlobName name, IOException problem) {
      super(name + ": expected the whole content, but it ended early", problem);
    }
  }

  private final Path root;
  private final LocalUrls urls;
  private final int limit;

  /**
   * Uses a folder, which is made if it is missing.
   *
   * @param limit most bytes of a blob, stored or decompressed
   */
  public FileBlobs(Path root, LocalUrls urls, int limit) {
    this.root = root;
    this.urls = urls;
    this.limit = limit;
    try {
      Files.createDirectories(root.resolve(NEW));
    } catch (IOException problem) {
      throw new BlobException("cannot make the folder of blobs " + root + ": " + problem, problem);
    }
  }

  @Override
  public void write(BlobName name, byte[] content) {
    store(name, Encoding.GZIP, new ByteArrayInputStream(Gzip.compress(content)));
  }

  @Override
  public boolean writeIfAbsent(BlobName name, byte[] content) {
    return store(name, Encoding.GZIP, new ByteArrayInputStream(Gzip.compress(content)), FileBlobs::link);
  }

  /**
   * Stores content as it comes.
   *
   * @throws TooLargeException if it has more bytes than a blob may have; then nothing changes
   * @throws IncompleteException if it cannot be read to its end; then nothing changes
   */
  public void store(BlobName name, Encoding encoding, InputStream content) {
    store(name, encoding, content, FileBlobs::rename);
  }

  /** Brings a whole file to its place; false if it is not to be there. */
  private interface Placing {
    boolean place(Path file, Path target) throws IOException;
  }

  private static boolean rename(Path file, Path target) throws IOException {
    Files.move(file, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    return true;
  }

  private static boolean link(Path file, Path target) throws IOException {
    try {
      Files.createLink(target, file);
      return true;
    } catch (FileAlreadyExistsException otherWasFirst) {
      if (Files.isRegularFile(target)) {
        return false;
      }
      throw otherWasFirst;
    }
  }

  private boolean store(BlobName name, Encoding encoding, InputStream content, Placing placing) {
    Path target = path(name);
    try {
      Path file = Files.createTempFile(root.resolve(NEW), "blob", "");
      try {
        try (OutputStream stream = Files.newOutputStream(file)) {
          stream.write(encoding == Encoding.GZIP ? GZIP : IDENTITY);
          copy(content, stream, name);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
          channel.force(true);
        }
        Files.createDirectories(target.getParent());
        boolean placed = placing.place(file, target);
        // Also of another one's file, on which the caller will build.
        try (FileChannel folder = FileChannel.open(target.getParent())) {
          folder.force(true);
        }
        return placed;
      } finally {
        Files.deleteIfExists(file);
      }
    } catch (IOException problem) {
      throw new BlobException("cannot write " + name + ": " + problem, problem);
    }
  }

  /** Most bytes of a blob. */
  public int limit() {
    return limit;
  }

  /**
   * Looks whether blobs can be written.
   *
   * @throws IOException if not
   */
  public void check() throws IOException {
    Files.delete(Files.createTempFile(root.resolve(NEW), "check", ""));
  }

  @Override
  public byte[] read(BlobName name) throws BlobNotFoundException {
    try (Stored stored = open(name)) {
      byte[] content = stored.content().readNBytes(limit);
      return stored.encoding() == Encoding.GZIP ? Gzip.decompress(content, limit) : content;
    } catch (IOException problem) {
      throw new BlobException("cannot read " + name + ": " + problem, problem);
    }
  }

  @Override
  public Encoding encoding(BlobName name) throws BlobNotFoundException {
    try (Stored stored = open(name)) {
      return stored.encoding();
    } catch (IOException problem) {
      throw new BlobException("cannot read " + name + ": " + problem, problem);
    }
  }

  /**
   * A blob as it is stored.
   *
   * @param size bytes of the content
   */
  public record Stored(Encoding encoding, long size, InputStream content) implements AutoCloseable {
    @Override
    public void close() throws IOException {
      content.close();
    }
  }

  /**
   * Opens a blob.
   *
   * @throws BlobNotFoundException if there is none
   */
  public Stored open(BlobName name) throws BlobNotFoundException, IOException {
    InputStream stream;
    long size;
    if (!exists(name)) {
      throw new BlobNotFoundException(name);
    }
    try {
      FileChannel channel = FileChannel.open(path(name));
      size = channel.size();
      stream = Channels.newInputStream(channel);
    } catch (NoSuchFileException removedMeanwhile) {
      throw new BlobNotFoundException(name);
    }
    byte[] head = stream.readNBytes(GZIP.length);
    if (Arrays.equals(head, GZIP)) {
      return new Stored(Encoding.GZIP, size - GZIP.length, stream);
    }
    byte[] rest = stream.readNBytes(IDENTITY.length - GZIP.length);
    if (Arrays.equals(concatenate(head, rest), IDENTITY)) {
      return new Stored(Encoding.IDENTITY, size - IDENTITY.length, stream);
    }
    stream.close();
    throw new BlobException(name + ": expected a file that begins with Content-Encoding, found something else in " + root);
  }

  @Override
  public boolean exists(BlobName name) {
    return Files.isRegularFile(path(name));
  }

  @Override
  public List<String> folders(String bucket, String prefix) {
    List<String> found = new ArrayList<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(path(new BlobName(bucket, prefix)), Files::isDirectory)) {
      entries.forEach(entry -> found.add(entry.getFileName().toString()));
    } catch (NoSuchFileException | NotDirectoryException none) {
      return List.of();
    } catch (IOException problem) {
      throw new BlobException("cannot list gs://" + bucket + "/" + prefix + ": " + problem, problem);
    }
    Collections.sort(found);
    return found;
  }

  @Override
  public SignedUrl uploadUrl(BlobName name, Duration lifetime) {
    return urls.sign(LocalUrls.Method.PUT, name, lifetime, UPLOAD_HEADERS);
  }

  @Override
  public SignedUrl downloadUrl(BlobName name, Duration lifetime) {
    return urls.sign(LocalUrls.Method.GET, name, lifetime, Map.of());
  }

  private void copy(InputStream from, OutputStream to, BlobName name) throws IOException {
    byte[] buffer = new byte[1 << 16];
    long total = 0;
    for (int count = read(from, buffer, name); count >= 0; count = read(from, buffer, name)) {
      total += count;
      if (total > limit) {
        throw new TooLargeException(name, limit);
      }
      to.write(buffer, 0, count);
    }
  }

  private static int read(InputStream from, byte[] buffer, BlobName name) {
    try {
      return from.read(buffer);
    } catch (IOException problem) {
      throw new IncompleteException(name, problem);
    }
  }

  private static byte[] concatenate(byte[] first, byte[] second) {
    byte[] both = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, both, first.length, second.length);
    return both;
  }

  private Path path(BlobName name) {
    return root.resolve(name.bucket()).resolve(name.key());
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/** The port to blobs. A blob is there as a whole or not at all; the last write wins, unless it asks for the opposite. */
public interface Blobs {
  /** Headers of an upload by a device; they are signed. */
  Map<String, String> UPLOAD_HEADERS = Map.of("content-type", "application/octet-stream", "content-encoding", "gzip");

  /**
   * Stores content with gzip, whatever was there.
   *
   * @param content not compressed
   */
  void write(BlobName name, byte[] content);

  /**
   * Stores content as {@link #write} does, if there is nothing: of those who ask at the same time, one stores theirs.
   *
   * @param content not compressed
   * @return false if there is something, and nothing changes. It may be of this very call, which was repeated as its answer was lost
   */
  boolean writeIfAbsent(BlobName name, byte[] content);

  /**
   * The content, decompressed if it is stored with gzip.
   *
   * @throws BlobNotFoundException if there is none
   * @throws DamagedBlobException if it is damaged, or larger than the limit of the adapter
   */
  byte[] read(BlobName name) throws BlobNotFoundException;

  /**
   * How a blob is stored.
   *
   * @throws BlobNotFoundException if there is none
   */
  Encoding encoding(BlobName name) throws BlobNotFoundException;

  boolean exists(BlobName name);

  /**
   * The names directly below a prefix under which there are blobs: of {@code a/b} and {@code a/c/d} with the prefix {@code a}, only
   * {@code c}. Sorted.
   *
   * @param prefix a key without a slash at its end
   */
  List<String> folders(String bucket, String prefix);

  /** Lets a device PUT a blob, with {@link #UPLOAD_HEADERS}. */
  SignedUrl uploadUrl(BlobName name, Duration lifetime);

  /** Lets a device GET a blob. */
  SignedUrl downloadUrl(BlobName name, Duration lifetime);
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/** gzip of what fits into memory. */
public final class Gzip {
  private Gzip() {}

  public static byte[] compress(byte[] content) {
    ByteArrayOutputStream compressed = new ByteArrayOutputStream();
    try (GZIPOutputStream stream = new GZIPOutputStream(compressed)) {
      stream.write(content);
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    return compressed.toByteArray();
  }

  /**
   * Decompresses.
   *
   * @param limit most bytes that come out: a small file may decompress to any size
   * @throws DamagedBlobException if the data is no gzip, is damaged, or holds more
   */
  public static byte[] decompress(byte[] compressed, int limit) {
    try (GZIPInputStream stream = new GZIPInputStream(new ByteArrayInputStream(compressed))) {
      byte[] content = stream.readNBytes(limit);
      if (stream.read() >= 0) {
        throw new DamagedBlobException("expected gzip data of at most " + limit + " bytes, found more");
      }
      return content;
    } catch (IOException damaged) {
      throw new DamagedBlobException("expected gzip data, found damage: " + damaged.getMessage(), damaged);
    }
  }
}

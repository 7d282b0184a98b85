package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.nio.charset.StandardCharsets;

/**
 * Names a blob: a key in a bucket, as Cloud Storage has them.
 *
 * @param bucket lower case letters, digits, dots, dashes and underscores
 * @param key words with slashes between them; none is empty, {@code .} or {@code ..}, or has control characters
 */
public record BlobName(String bucket, String key) {
  private static final int LONGEST_KEY = 1024;

  /**
   * Checks the name.
   *
   * @throws IllegalArgumentException if it would lead elsewhere, or is none that Cloud Storage takes
   */
  public BlobName {
    if (!bucket.matches("[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]") || bucket.contains("..")) {
      throw new IllegalArgumentException("expected the name of a bucket (lower case letters, digits, . _ -), found " + shown(bucket));
    }
    if (key.getBytes(StandardCharsets.UTF_8).length > LONGEST_KEY) {
      throw new IllegalArgumentException("expected a key of at most " + LONGEST_KEY + " bytes, found " + key.length() + " characters");
    }
    for (String word : key.split("/", -1)) {
      if (word.isEmpty() || word.equals(".") || word.equals("..") || word.chars().anyMatch(Character::isISOControl)) {
        throw new IllegalArgumentException("expected a key of words with / between, none of them empty, . or .., found " + shown(key));
      }
    }
  }

  /** The key in a URL: all but slashes and what RFC 3986 calls unreserved is percent-encoded, since servers take some of it apart. */
  public String path() {
    StringBuilder path = new StringBuilder();
    for (byte octet : key.getBytes(StandardCharsets.UTF_8)) {
      boolean plain = octet >= 0 && ("/-._~".indexOf(octet) >= 0 || Character.isLetterOrDigit(octet));
      path.append(plain ? Character.toString(octet) : String.format("%%%02X", octet));
    }
    return path.toString();
  }

  @Override
  public String toString() {
    return "gs://" + bucket + "/" + key;
  }

  private static String shown(String text) {
    String printable = text.replaceAll("\\p{Cntrl}", "?");
    return "'" + (printable.length() > 100 ? printable.substring(0, 100) + "..." : printable) + "'";
  }
}

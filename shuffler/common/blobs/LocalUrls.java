package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * URLs of blobs in the profile {@code local}: {@code <base>/blobs/<bucket>/<key>?expires=<unix seconds>&signature=<base64url>}.
 *
 * <p>The signature is HMAC-SHA256 over the lines method, bucket, key, expiry, and {@code name:value} of every signed header, sorted; as
 * V4 signed URLs of Cloud Storage, it binds what may be done, with what, until when. The key is a file that all services of the machine
 * share.
 */
public final class LocalUrls {
  /** What a URL lets its holder do. */
  public enum Method {
    GET,
    PUT
  }

  /** A request whose URL does not allow it. The message says why, and shows no signature. */
  public static final class NotAllowedException extends Exception {
    private static final long serialVersionUID = 1;

    NotAllowedException(String message) {
      super(message);
    }
  }

  static final String PATH = "/blobs/";
  private static final String ALGORITHM = "HmacSHA256";
  private static final int KEY_BYTES = 32;
  private static final String KEY_FILE = "signing.key";

  private final URI base;
  private final byte[] key;
  private final Clock clock;

  /**
   * Signs and checks URLs.
   *
   * @param base where devices reach the service that serves blobs, such as {@code http://localhost:8083}
   * @param key a secret of 32 bytes
   */
  public LocalUrls(URI base, byte[] key, Clock clock) {
    this.base = base;
    this.key = key.clone();
    this.clock = clock;
  }

  /** The key in a folder; the first that asks makes it. */
  public static byte[] sharedKey(Path folder) {
    Path file = folder.resolve(KEY_FILE);
    try {
      byte[] key = SharedFile.read(file, () -> {
        byte[] fresh = new byte[KEY_BYTES];
        new SecureRandom().nextBytes(fresh);
        return fresh;
      });
      if (key.length != KEY_BYTES) {
        throw new BlobException(file + ": expected a key of " + KEY_BYTES + " bytes, found " + key.length);
      }
      return key;
    } catch (IOException problem) {
      throw new BlobException("cannot make or read " + file + ": " + problem, problem);
    }
  }

  SignedUrl sign(Method method, BlobName name, Duration lifetime, Map<String, String> headers) {
    long expires = clock.instant().plus(lifetime).getEpochSecond();
    String query = "expires=" + expires + "&signature=" + signature(method, name, expires, headers);
    return new SignedUrl(base.resolve(PATH + name.bucket() + "/" + name.path() + "?" + query), headers);
  }

  /**
   * Checks a request.
   *
   * @param header the value of a header of the request; null if it has none
   * @throws NotAllowedException if the URL was not made by {@link #sign} for this, was altered, or has expired
   */
  public void check(Method method, BlobName name, String expires, String signature, Function<String, String> header)
      throws NotAllowedException {
    if (expires == null || signature == null || !expires.matches("[0-9]{1,12}")) {
      throw new NotAllowedException("expected a signed URL, with expires and signature");
    }
    Map<String, String> required = method == Method.PUT ? Blobs.UPLOAD_HEADERS : Map.of();
    byte[] expected = signature(method, name, Long.parseLong(expires), required).getBytes(StandardCharsets.US_ASCII);
    if (!MessageDigest.isEqual(expected, signature.getBytes(StandardCharsets.UTF_8))) {
      throw new NotAllowedException("the signature of the URL does not fit " + method + " of this blob until this time");
    }
    if (clock.instant().getEpochSecond() >= Long.parseLong(expires)) {
      throw new NotAllowedException("the URL has expired");
    }
    for (Map.Entry<String, String> field : new TreeMap<>(required).entrySet()) {
      if (!field.getValue().equals(header.apply(field.getKey()))) {
        throw new NotAllowedException("expected the header " + field.getKey() + ": " + field.getValue());
      }
    }
  }

  private String signature(Method method, BlobName name, long expires, Map<String, String> headers) {
    StringBuilder text = new StringBuilder();
    text.append(method).append('\n').append(name.bucket()).append('\n').append(name.key()).append('\n').append(expires).append('\n');
    new TreeMap<>(headers).forEach((field, value) -> text.append(field).append(':').append(value).append('\n'));
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(new SecretKeySpec(key, ALGORITHM));
      return Base64.getUrlEncoder().withoutPadding().encodeToString(mac.doFinal(text.toString().getBytes(StandardCharsets.UTF_8)));
    } catch (GeneralSecurityException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}

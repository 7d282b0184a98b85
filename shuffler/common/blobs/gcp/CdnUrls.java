package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Clock;
import java.time.Duration;
import java.util.Base64;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * URLs by which devices download from Cloud CDN, in front of the bucket of models: {@code
 * https://<endpoint>/<key of the blob>?Expires=<unix seconds>&KeyName=<name>&Signature=<base64url>}. The signature is HMAC-SHA1 over what
 * stands before it: https://cloud.google.com/cdn/docs/using-signed-urls.
 */
public final class CdnUrls {
  private static final String ALGORITHM = "HmacSHA1";
  private static final int KEY_BYTES = 16;

  private final String endpoint;
  private final String keyName;
  private final byte[] key;
  private final Clock clock;

  CdnUrls(String endpoint, String keyName, byte[] key, Clock clock) {
    this.endpoint = endpoint;
    this.keyName = keyName;
    this.key = key;
    this.clock = clock;
  }

  /**
   * The CDN that the options name, if they name one. There are two keys, so that one can be replaced while the other is in use: the last
   * letter of the name of the key, a or b, says which one signs.
   *
   * @throws InvalidOptionsException if there is an endpoint, but not all that it takes to sign
   */
  public static Optional<CdnUrls> of(OptionValues fcp, Clock clock) {
    return fcp.get(FcpOptions.MODEL_CDN_ENDPOINT).map(endpoint -> {
      require(endpoint.matches("[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"), FcpOptions.MODEL_CDN_ENDPOINT, "a host name");
      String name = fcp.get(FcpOptions.MODEL_CDN_SIGNING_KEY_NAME).orElse("");
      require(name.matches("[A-Za-z0-9_-]{0,62}[abAB]"), FcpOptions.MODEL_CDN_SIGNING_KEY_NAME, "the name of a key, which ends in a or b");
      Option<String> value = "aA".indexOf(name.charAt(name.length() - 1)) >= 0
          ? FcpOptions.MODEL_CDN_SIGNING_KEY_VALUE_A
          : FcpOptions.MODEL_CDN_SIGNING_KEY_VALUE_B;
      return new CdnUrls(endpoint, name, key(value, fcp.get(value).orElse("")), clock);
    });
  }

  URI sign(BlobName name, Duration lifetime) {
    return URI.create(sign("https://" + endpoint + "/" + name.path(), clock.instant().plus(lifetime).getEpochSecond()));
  }

  /** Signs any URL without a query. */
  String sign(String url, long expires) {
    String signed = url + "?Expires=" + expires + "&KeyName=" + keyName;
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(new SecretKeySpec(key, ALGORITHM));
      return signed + "&Signature=" + Base64.getUrlEncoder().encodeToString(mac.doFinal(signed.getBytes(StandardCharsets.UTF_8)));
    } catch (GeneralSecurityException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private static byte[] key(Option<String> option, String text) {
    byte[] key;
    try {
      key = Base64.getUrlDecoder().decode(text);
    } catch (IllegalArgumentException malformed) {
      key = new byte[0];
    }
    require(key.length == KEY_BYTES, option, "a key of " + KEY_BYTES + " bytes in base64url");
    return key;
  }

  private static void require(boolean valid, Option<String> option, String expected) {
    if (!valid) {
      throw new InvalidOptionsException(
          "FCP_OPTS: --" + option.name() + ": expected " + expected + ", since --" + FcpOptions.MODEL_CDN_ENDPOINT.name() + " is given, found none");
    }
  }
}

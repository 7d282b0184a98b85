package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.Base64;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CdnUrlsTest {
  private static final Clock CLOCK = Clock.fixed(Instant.ofEpochSecond(1549751101), ZoneOffset.UTC);

  // The key of the samples of Google's documentation, and another one.
  private static final String KEY = "nZtRohdNF9m3cKM24IcK4w==";
  private static final String OTHER_KEY = "AAECAwQFBgcICQoLDA0ODw==";

  private static Optional<CdnUrls> urls(String options) {
    return CdnUrls.of(FcpOptions.TABLE.parse(options), CLOCK);
  }

  /** The samples of https://cloud.google.com/cdn/docs/using-signed-urls, from the tests of their Python, Go and C# code. */
  @ParameterizedTest
  @CsvSource({
    "http://35.186.234.33/index.html, 1549751401, CRFqQnVfFyiUyR63OQf-HRUpIwc=",
    "http://35.186.234.33/index.html, 1558131350, fm6JZSmKNsB5sys8VGr-JE4LiiE=",
    "http://www.example.com/, 1549751401, OqDUFfHpN5Vxga6r80bhsgxKves=",
    "https://www.google.com/, 1549751401, M_QO7BGHi2sGqrJO-MDr0uhDFuc=",
  })
  void publishedSamplesAreMet(String url, long expires, String signature) {
    assertThat(new CdnUrls("cdn.example", "my-key", Base64.getUrlDecoder().decode(KEY), CLOCK).sign(url, expires))
        .isEqualTo(url + "?Expires=" + expires + "&KeyName=my-key&Signature=" + signature);
  }

  /**
   * Signatures by OpenSSL: {@code printf '%s' "$url" | openssl dgst -sha1 -mac HMAC -macopt hexkey:9d9b51a2174d17d9b770a336e0870ae3 -binary
   * | basenc --base64url}.
   */
  @ParameterizedTest
  @CsvSource({
    "cdn-key-B, p/1/0/s/0/client_only_plan, p/1/0/s/0/client_only_plan, 9nKUsXQdtcchVpr-glFhkrBwIqg=",
    "cdn-key-b, 'a b/ü?#&', a%20b/%C3%BC%3F%23%26, FVwNxePNztcZ0AsDSfZsbOdcC7E=",
  })
  void objectIsNamedWithoutItsBucket(String keyName, String key, String path, String signature) {
    CdnUrls urls = urls("--model_cdn_endpoint cdn.example --model_cdn_signing_key_name " + keyName
            + " --model_cdn_signing_key_value_a '" + OTHER_KEY + "' --model_cdn_signing_key_value_b '" + KEY + "'")
        .orElseThrow();
    assertThat(urls.sign(new BlobName("fcp-test-m-0", key), Duration.ofSeconds(300)).toString())
        .isEqualTo("https://cdn.example/" + path + "?Expires=1549751401&KeyName=" + keyName + "&Signature=" + signature);
  }

  @Test
  void lastLetterOfTheNameSaysWhichKeySigns() {
    String keys = " --model_cdn_signing_key_value_a '" + KEY + "' --model_cdn_signing_key_value_b '" + OTHER_KEY + "'";
    BlobName name = new BlobName("fcp-test-m-0", "p");
    String a = urls("--model_cdn_endpoint e --model_cdn_signing_key_name key-a" + keys).orElseThrow().sign(name, Duration.ZERO).toString();
    assertThat(a).isEqualTo(
        new CdnUrls("e", "key-a", Base64.getUrlDecoder().decode(KEY), CLOCK).sign(name, Duration.ZERO).toString());
    String b = urls("--model_cdn_endpoint e --model_cdn_signing_key_name key-b" + keys).orElseThrow().sign(name, Duration.ZERO).toString();
    assertThat(b).isEqualTo(
        new CdnUrls("e", "key-b", Base64.getUrlDecoder().decode(OTHER_KEY), CLOCK).sign(name, Duration.ZERO).toString());
  }

  @Test
  void withoutEndpointThereIsNone() {
    assertThat(urls("--model_cdn_signing_key_name key-a")).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
    "'https://x' | --model_cdn_endpoint: expected a host name",
    "'x/y'       | --model_cdn_endpoint: expected a host name",
    "''          | --model_cdn_endpoint: expected a host name",
    "x           | --model_cdn_signing_key_name: expected the name of a key, which ends in a or b",
    "x --model_cdn_signing_key_name hush-c | --model_cdn_signing_key_name: expected the name of a key, which ends in a or b",
    "x --model_cdn_signing_key_name 'k&a'  | --model_cdn_signing_key_name: expected the name of a key, which ends in a or b",
    "x --model_cdn_signing_key_name k-a    | --model_cdn_signing_key_value_a: expected a key of 16 bytes in base64url",
    "x --model_cdn_signing_key_name k-b --model_cdn_signing_key_value_a 'nZtRohdNF9m3cKM24IcK4w==' "
        + "| --model_cdn_signing_key_value_b: expected a key of 16 bytes in base64url",
    "x --model_cdn_signing_key_name k-b --model_cdn_signing_key_value_b 'hush!' "
        + "| --model_cdn_signing_key_value_b: expected a key of 16 bytes in base64url",
    "x --model_cdn_signing_key_name k-b --model_cdn_signing_key_value_b 'hushhush' "
        + "| --model_cdn_signing_key_value_b: expected a key of 16 bytes in base64url",
  })
  void incompleteOptionsAreRefusedInOneLine(String options, String message) {
    assertThatThrownBy(() -> urls("--model_cdn_endpoint " + options))
        .isInstanceOf(InvalidOptionsException.class)
        .hasMessage("FCP_OPTS: " + message + ", since --model_cdn_endpoint is given, found none")
        .hasMessageNotContaining("hush");
  }
}

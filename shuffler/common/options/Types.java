package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/** The kinds of options. */
final class Types {
  private Types() {}

  /** A text that may be a secret: whatever it is, it is never shown. */
  static Option<String> text(String name) {
    return Option.of(name, "a text", Optional::of);
  }

  /** An address; it is shown, and so holds no secret. */
  static Option<URI> url(String name) {
    return Option.of(name, "an http or https URL", value -> {
      try {
        return Optional.of(new URI(value)).filter(url -> url.getHost() != null && url.getScheme().matches("https?"));
      } catch (URISyntaxException malformed) {
        return Optional.empty();
      }
    });
  }

  /** The same with a path, to which more may be appended. */
  static Option<URI> urlWithPath(String name) {
    return Option.of(
        name, "an http or https URL with a path", value -> url(name).parser().apply(value).filter(url -> url.getPath().length() > 1));
  }

  /** A name of buckets, with {@code %s} where the number of the partition goes. */
  static Option<String> bucketTemplate(String name) {
    return Option.of(
        name, "a bucket name with one %s", value -> value.split("%s", -1).length == 2 ? Optional.of(value) : Optional.empty());
  }

  static Option<Boolean> truth(String name) {
    return Option.of(name, "true or false", value -> switch (value) {
      case "true" -> Optional.of(true);
      case "false" -> Optional.of(false);
      default -> Optional.empty();
    });
  }

  static Option<Long> positiveLong(String name) {
    return Option.of(name, "a whole number from 1 on", value -> positive(value, Long.MAX_VALUE));
  }

  static Option<Integer> positiveInt(String name) {
    return Option.of(name, "a whole number from 1 to " + Integer.MAX_VALUE, value -> positive(value, Integer.MAX_VALUE).map(Long::intValue));
  }

  static Option<Duration> seconds(String name) {
    return duration(name, "seconds", Duration::ofSeconds);
  }

  static Option<Duration> minutes(String name) {
    return duration(name, "minutes", Duration::ofMinutes);
  }

  static Option<List<CompressionFormat>> compressionFormats(String name) {
    return Option.of(name, "a list out of NONE and GZIP, separated by commas", value -> {
      List<Optional<CompressionFormat>> formats = Arrays.stream(value.split(",", -1)).map(CompressionFormat::named).toList();
      return formats.stream().allMatch(Optional::isPresent)
          ? Optional.of(formats.stream().map(Optional::orElseThrow).toList())
          : Optional.empty();
    });
  }

  /** At most what an int holds, so that no sum of times overflows. */
  private static Option<Duration> duration(String name, String unit, Function<Long, Duration> of) {
    String expected = "a whole number of " + unit + " from 1 to " + Integer.MAX_VALUE;
    return Option.of(name, expected, value -> positive(value, Integer.MAX_VALUE).map(of));
  }

  private static Optional<Long> positive(String value, long most) {
    if (!value.matches("[0-9]{1,19}")) {
      return Optional.empty();
    }
    try {
      return Optional.of(Long.parseLong(value)).filter(number -> number >= 1 && number <= most);
    } catch (NumberFormatException tooBig) {
      return Optional.empty();
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import java.util.Arrays;
import java.util.Locale;

/**
 * Where a service runs. What belongs together for safety (where keys come from, whether output is encrypted) belongs to the profile and
 * cannot be set apart. In a TEE the launch policy does not let an operator set it.
 */
public enum Profile {
  /** One machine: for development and tests. */
  LOCAL,
  /** Google Cloud; what holds unless said otherwise. */
  GCP;

  static final String VARIABLE = "SPRING_PROFILES_ACTIVE";

  /**
   * Reads the environment variable's value.
   *
   * @throws StartException if it names no profile, or several
   */
  static Profile parse(String value) {
    return Arrays.stream(values())
        .filter(profile -> profile.lowerCase().equals(value))
        .findFirst()
        .orElseThrow(() -> StartException.usage(
            VARIABLE + ": expected gcp or local, found '" + value.replaceAll("\\p{Cntrl}", "?") + "'"));
  }

  String lowerCase() {
    return name().toLowerCase(Locale.ROOT);
  }
}

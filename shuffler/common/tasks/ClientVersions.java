package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/**
 * Versions of the device's software, both inclusive. They are decimal numbers that the protocol and the tables carry as text.
 *
 * @param min the oldest that may take part
 * @param max the newest
 */
public record ClientVersions(String min, String max) {
  /**
   * Reads both.
   *
   * @throws NumberFormatException if one is no decimal number of at most 18 digits
   */
  public ClientVersions {
    parse(min);
    parse(max);
  }

  public boolean include(long version) {
    return parse(min) <= version && version <= parse(max);
  }

  /**
   * The number that a version is.
   *
   * @throws NumberFormatException if it is none
   */
  public static long parse(String version) {
    if (!version.matches("[0-9]{1,18}")) {
      throw new NumberFormatException("expected a version of at most 18 decimal digits, found " + version.length() + " characters");
    }
    return Long.parseLong(version);
  }
}

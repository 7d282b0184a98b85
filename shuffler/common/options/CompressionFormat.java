package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import java.util.Arrays;
import java.util.Optional;

/** How resources for devices are compressed. */
public enum CompressionFormat {
  NONE,
  GZIP;

  static Optional<CompressionFormat> named(String name) {
    return Arrays.stream(values()).filter(format -> format.name().equals(name)).findFirst();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

/** How a blob is stored: its Content-Encoding. */
public enum Encoding {
  IDENTITY,
  GZIP
}

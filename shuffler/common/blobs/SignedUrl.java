package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import java.net.URI;
import java.util.Map;

/**
 * A URL that lets its holder do one thing with one blob for a time.
 *
 * @param url where; a secret
 * @param headers that the request must have, as they are signed
 */
public record SignedUrl(URI url, Map<String, String> headers) {
  @Override
  public String toString() {
    return url.getScheme() + "://" + url.getAuthority() + url.getPath() + "?(signed)";
  }
}

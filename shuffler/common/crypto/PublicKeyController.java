package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import org.springframework.http.MediaType;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** The public key service of one machine, where devices look for it in Google Cloud, too. */
@RestController
public final class PublicKeyController {
  private final LocalKeys keys;

  public PublicKeyController(LocalKeys keys) {
    this.keys = keys;
  }

  @GetMapping(path = "/.well-known/odp/v1/public-keys", produces = MediaType.APPLICATION_JSON_VALUE)
  public String publicKeys() {
    return keys.published();
  }
}

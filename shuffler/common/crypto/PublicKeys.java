package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

/** Where public keys come from. */
public interface PublicKeys {
  /**
   * One of the keys that are in use.
   *
   * @throws KeyServiceException if there is none now
   */
  PublicKey choose();
}

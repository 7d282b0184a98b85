package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.google.crypto.tink.HybridDecrypt;

/** Where private keys come from. Which implementation a service has is the profile's business alone. */
public interface PrivateKeys {
  /**
   * The key with an id.
   *
   * @throws KeyNotFoundException if there is none
   * @throws KeyServiceException if it cannot be had now
   */
  HybridDecrypt find(String keyId) throws KeyNotFoundException;
}

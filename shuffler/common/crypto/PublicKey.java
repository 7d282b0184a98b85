package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.google.crypto.tink.HybridEncrypt;

/**
 * A public key.
 *
 * @param id names the key, also in payloads
 * @param encrypter encrypts to it
 */
public record PublicKey(String id, HybridEncrypt encrypter) {}

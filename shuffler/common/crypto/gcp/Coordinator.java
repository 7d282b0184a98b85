package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.gcp;

import java.net.URI;
import java.security.GeneralSecurityException;
import java.util.function.Supplier;

/**
 * One of the two parties that hold a half of every private key each.
 *
 * @param base where its key service is
 * @param authorization makes the value of the header Authorization of a request to it
 * @param decrypter decrypts what its key management service encrypted
 */
public record Coordinator(URI base, Supplier<String> authorization, KeyDecrypter decrypter) {
  /** Decrypts half keys. */
  @FunctionalInterface
  public interface KeyDecrypter {
    /**
     * Decrypts.
     *
     * @param keyUri names the key of the key management service, {@code gcp-kms://projects/...}
     * @throws GeneralSecurityException if it refuses, or does not answer
     */
    byte[] decrypt(String keyUri, byte[] ciphertext) throws GeneralSecurityException;
  }
}

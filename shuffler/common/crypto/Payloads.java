package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.DamagedBlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Gzip;
import com.google.crypto.tink.HybridDecrypt;
import java.security.GeneralSecurityException;

/** Encrypts what leaves a TEE and decrypts what comes into it. */
public final class Payloads {
  private static final byte[] NO_ASSOCIATED_DATA = {};

  private final PublicKeys publicKeys;
  private final PrivateKeys privateKeys;
  private final int limit;

  /**
   * Uses keys.
   *
   * @param limit most bytes of the data of a payload
   */
  public Payloads(PublicKeys publicKeys, PrivateKeys privateKeys, int limit) {
    this.publicKeys = publicKeys;
    this.privateKeys = privateKeys;
    this.limit = limit;
  }

  /**
   * Encrypts to one of the public keys.
   *
   * @return JSON
   * @throws KeyServiceException if there is no key now
   */
  public byte[] seal(byte[] data) {
    PublicKey key = publicKeys.choose();
    try {
      byte[] encrypted = key.encrypter().encrypt(Gzip.compress(data), NO_ASSOCIATED_DATA);
      return new EncryptedPayload(key.id(), encrypted, NO_ASSOCIATED_DATA).toJson();
    } catch (GeneralSecurityException problem) {
      throw new KeyServiceException("the public key " + key.id() + " does not encrypt", problem);
    }
  }

  /**
   * Decrypts. Bytes that are no JSON are taken as they are: the protocol lets tests do without encryption.
   *
   * @throws KeyNotFoundException if nobody knows its key
   * @throws PayloadException if it is no payload, does not fit its key, or is larger than the limit
   * @throws KeyServiceException if the key cannot be had now
   */
  public byte[] open(byte[] stored) throws PayloadException {
    if (!EncryptedPayload.isJson(stored)) {
      return stored;
    }
    EncryptedPayload payload = EncryptedPayload.parse(stored);
    HybridDecrypt key = privateKeys.find(payload.keyId());
    try {
      return Gzip.decompress(key.decrypt(payload.encryptedPayload(), payload.associatedData()), limit);
    } catch (GeneralSecurityException altered) {
      throw new PayloadException("expected a payload that its key opens, found one that is altered or of another key");
    } catch (DamagedBlobException malformed) {
      throw new PayloadException("decrypted payload: " + malformed.getMessage());
    }
  }
}

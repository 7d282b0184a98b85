package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.google.crypto.tink.HybridDecrypt;
import com.google.crypto.tink.HybridEncrypt;
import com.google.crypto.tink.InsecureSecretKeyAccess;
import com.google.crypto.tink.KeysetHandle;
import com.google.crypto.tink.RegistryConfiguration;
import com.google.crypto.tink.TinkProtoKeysetFormat;
import com.google.crypto.tink.hybrid.HpkeParameters;
import com.google.crypto.tink.hybrid.HpkePublicKey;
import com.google.crypto.tink.hybrid.HybridConfig;
import com.google.crypto.tink.util.Bytes;
import java.security.GeneralSecurityException;

/** HPKE (RFC 9180) as devices do it: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, the encapsulated key before the ciphertext. */
public final class Hpke {
  static {
    try {
      HybridConfig.register();
    } catch (GeneralSecurityException impossible) {
      throw new ExceptionInInitializerError(impossible);
    }
  }

  private Hpke() {}

  static HpkeParameters parameters() throws GeneralSecurityException {
    return HpkeParameters.builder()
        .setKemId(HpkeParameters.KemId.DHKEM_X25519_HKDF_SHA256)
        .setKdfId(HpkeParameters.KdfId.HKDF_SHA256)
        .setAeadId(HpkeParameters.AeadId.CHACHA20_POLY1305)
        .setVariant(HpkeParameters.Variant.NO_PREFIX)
        .build();
  }

  /**
   * Encrypts to a public key.
   *
   * @param raw the key, 32 bytes
   * @throws GeneralSecurityException if it is none
   */
  static HybridEncrypt encrypter(byte[] raw) throws GeneralSecurityException {
    HpkePublicKey key = HpkePublicKey.create(parameters(), Bytes.copyFrom(raw), null);
    return KeysetHandle.newBuilder()
        .addEntry(KeysetHandle.importKey(key).withRandomId().makePrimary())
        .build()
        .getPrimitive(RegistryConfiguration.get(), HybridEncrypt.class);
  }

  /**
   * Decrypts with the keys of a keyset.
   *
   * @param keyset a serialized cleartext {@code google.crypto.tink.Keyset}
   * @throws GeneralSecurityException if it is none
   */
  public static HybridDecrypt decrypter(byte[] keyset) throws GeneralSecurityException {
    return TinkProtoKeysetFormat.parseKeyset(keyset, InsecureSecretKeyAccess.get())
        .getPrimitive(RegistryConfiguration.get(), HybridDecrypt.class);
  }
}

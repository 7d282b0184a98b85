package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.google.crypto.tink.HybridDecrypt;
import com.google.crypto.tink.InsecureSecretKeyAccess;
import com.google.crypto.tink.KeysetHandle;
import com.google.crypto.tink.TinkProtoKeysetFormat;
import com.google.crypto.tink.hybrid.HpkePrivateKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.SharedFile;
import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Base64;
import java.util.HexFormat;

/**
 * One key pair in a folder that the services of one machine share: what the profile {@code local} has in place of coordinators. Whoever
 * can read the folder can read all contributions, so it is for development and tests.
 */
public final class LocalKeys implements PublicKeys, PrivateKeys {
  private static final String FILE = "payload.keyset";

  private final String id;
  private final byte[] raw;
  private final HybridDecrypt decrypter;

  /**
   * Uses the key pair of a folder; the first that asks makes it.
   *
   * @throws KeyServiceException if it cannot be made or read
   */
  public LocalKeys(Path folder) {
    try {
      byte[] keyset = SharedFile.read(folder.resolve(FILE), LocalKeys::fresh);
      decrypter = Hpke.decrypter(keyset);
      KeysetHandle handle = TinkProtoKeysetFormat.parseKeyset(keyset, InsecureSecretKeyAccess.get());
      raw = ((HpkePrivateKey) handle.getPrimary().getKey()).getPublicKey().getPublicKeyBytes().toByteArray();
      id = "local-" + HexFormat.of().formatHex(raw, 0, 8);
    } catch (GeneralSecurityException | ClassCastException malformed) {
      throw new KeyServiceException(folder.resolve(FILE) + ": expected a keyset of HPKE, found something else", malformed);
    } catch (IOException problem) {
      throw new KeyServiceException("cannot make or read " + folder.resolve(FILE) + ": " + problem, problem);
    }
  }

  @Override
  public PublicKey choose() {
    try {
      return new PublicKey(id, Hpke.encrypter(raw));
    } catch (GeneralSecurityException impossible) {
      throw new KeyServiceException("the local key does not encrypt", impossible);
    }
  }

  @Override
  public HybridDecrypt find(String keyId) throws KeyNotFoundException {
    if (!keyId.equals(id)) {
      throw new KeyNotFoundException(keyId);
    }
    return decrypter;
  }

  /** What a public key service answers: JSON. */
  public String published() {
    return "{\"keys\":[{\"id\":\"" + id + "\",\"key\":\"" + Base64.getEncoder().encodeToString(raw) + "\"}]}";
  }

  private static byte[] fresh() throws GeneralSecurityException {
    KeysetHandle handle = KeysetHandle.newBuilder()
        .addEntry(KeysetHandle.generateEntryFromParameters(Hpke.parameters()).withRandomId().makePrimary())
        .build();
    return TinkProtoKeysetFormat.serializeKeyset(handle, InsecureSecretKeyAccess.get());
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation.Reduction.Refusal;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.DamagedBlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.PayloadException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import java.util.List;
import java.util.Optional;

/** What is summed up: blobs that are decrypted first. What may succeed later is thrown. */
public final class EncryptedInputs {
  /** Takes in what a blob holds. */
  @FunctionalInterface
  public interface Taking {
    /**
     * Gives content to an aggregation.
     *
     * @throws RejectedException if the aggregation refuses it
     */
    void take(Aggregation to, byte[] content) throws RejectedException;
  }

  private final Blobs blobs;
  private final Payloads payloads;

  public EncryptedInputs(Blobs blobs, Payloads payloads) {
    this.blobs = blobs;
    this.payloads = payloads;
  }

  /** The content of blobs, one after the other. */
  public Reduction.Input of(List<BlobName> names, Taking taking) {
    return (index, to) -> {
      try {
        taking.take(to, payloads.open(blobs.read(names.get(index))));
        return Optional.empty();
      } catch (BlobNotFoundException missing) {
        return Optional.of(new Refusal(index, Refusal.Kind.MISSING, "it is not there"));
      } catch (DamagedBlobException | PayloadException malformed) {
        return Optional.of(new Refusal(index, Refusal.Kind.NOT_DECRYPTED, malformed.getMessage()));
      } catch (RejectedException refused) {
        return Optional.of(new Refusal(index, Refusal.Kind.NOT_AGGREGATED, refused.getMessage()));
      }
    };
  }
}

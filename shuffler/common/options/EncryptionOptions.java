package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.text;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.truth;

import java.util.List;

/** {@code ENCRYPTION_OPTS}: part of the measured image, so that nobody who deploys it can change where keys come from. */
public final class EncryptionOptions {
  public static final Option<String> PUBLIC_KEY_SERVICE_BASE_URL = text("public_key_service_base_url");
  public static final Option<Boolean> SHOULD_ENCRYPT_AGGREGATOR_OUTPUT = truth("should_encrypt_aggregator_output").withDefault(true);

  public static final OptionTable TABLE =
      new OptionTable("ENCRYPTION_OPTS", List.of(PUBLIC_KEY_SERVICE_BASE_URL, SHOULD_ENCRYPT_AGGREGATOR_OUTPUT));

  private EncryptionOptions() {}
}

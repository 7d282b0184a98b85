package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.text;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.truth;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.urlWithPath;

import java.net.URI;
import java.util.List;

/** {@code SECURITY_OPTS}: which devices are let in. */
public final class SecurityOptions {
  public static final Option<URI> KEY_ATTESTATION_VALIDATION_BASE_URL = urlWithPath("key_attestation_validation_base_url");
  public static final Option<String> KEY_ATTESTATION_API_KEY = text("key_attestation_api_key");
  public static final Option<Boolean> IS_AUTHENTICATION_ENABLED = truth("is_authentication_enabled").withDefault(false);
  public static final Option<Boolean> ALLOW_ROOTED_DEVICES = truth("allow_rooted_devices").withDefault(false);

  public static final OptionTable TABLE = new OptionTable(
      "SECURITY_OPTS",
      List.of(KEY_ATTESTATION_VALIDATION_BASE_URL, KEY_ATTESTATION_API_KEY, IS_AUTHENTICATION_ENABLED, ALLOW_ROOTED_DEVICES));

  private SecurityOptions() {}
}

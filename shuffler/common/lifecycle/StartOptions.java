package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.EncryptionOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionTable;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.SecurityOptions;
import java.util.Map;

/**
 * All that a service reads from its environment. Whatever else the environment holds is ignored.
 *
 * @param profile from {@code SPRING_PROFILES_ACTIVE}, gcp if it is not set
 * @param port from {@code PORT}, which Cloud Run sets, else the service's own; 0 takes a free one
 * @param fcp from {@code FCP_OPTS}
 * @param security from {@code SECURITY_OPTS}
 * @param encryption from {@code ENCRYPTION_OPTS}
 */
record StartOptions(Profile profile, int port, OptionValues fcp, OptionValues security, OptionValues encryption) {

  /**
   * Reads environment variables.
   *
   * @throws StartException if one is malformed
   */
  static StartOptions of(Map<String, String> environment, int defaultPort) {
    return new StartOptions(
        Profile.parse(environment.getOrDefault(Profile.VARIABLE, Profile.GCP.lowerCase())),
        port(environment.getOrDefault("PORT", Integer.toString(defaultPort))),
        options(FcpOptions.TABLE, environment),
        options(SecurityOptions.TABLE, environment),
        options(EncryptionOptions.TABLE, environment));
  }

  private static int port(String value) {
    if (!value.matches("[0-9]{1,5}") || Integer.parseInt(value) > 65535) {
      throw StartException.usage("PORT: expected a number from 0 to 65535, found '" + value.replaceAll("\\p{Cntrl}", "?") + "'");
    }
    return Integer.parseInt(value);
  }

  private static OptionValues options(OptionTable table, Map<String, String> environment) {
    try {
      return table.parse(environment.getOrDefault(table.variable(), ""));
    } catch (InvalidOptionsException malformed) {
      throw StartException.usage(malformed.getMessage());
    }
  }
}

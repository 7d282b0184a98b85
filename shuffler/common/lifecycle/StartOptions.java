package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.EncryptionOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionTable;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.SecurityOptions;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * All that a service reads from its environment. Whatever else the environment holds is ignored.
 *
 * @param profile from {@code SPRING_PROFILES_ACTIVE}, gcp if it is not set
 * @param port from {@code PORT}, which Cloud Run sets, else the service's own; 0 takes a free one
 * @param fcp from {@code FCP_OPTS}
 * @param security from {@code SECURITY_OPTS}
 * @param encryption from {@code ENCRYPTION_OPTS}
 * @param local from {@code LOCAL_OPTS}; empty but in the profile local
 */
public record StartOptions(
    Profile profile, int port, OptionValues fcp, OptionValues security, OptionValues encryption, OptionValues local) {

  /**
   * Reads environment variables.
   *
   * @throws StartException if one is malformed
   */
  static StartOptions of(Map<String, String> environment, int defaultPort) {
    Profile profile = Profile.parse(environment.getOrDefault(Profile.VARIABLE, Profile.GCP.lowerCase()));
    return new StartOptions(
        profile,
        port(environment.getOrDefault("PORT", Integer.toString(defaultPort))),
        options(FcpOptions.TABLE, environment),
        options(SecurityOptions.TABLE, environment),
        options(EncryptionOptions.TABLE, environment),
        options(LocalOptions.TABLE, profile == Profile.LOCAL ? environment : Map.of()));
  }

  /** The same with other values of the first two tables. */
  StartOptions with(OptionValues newFcp, OptionValues newSecurity) {
    return new StartOptions(profile, port, newFcp, newSecurity, encryption, local);
  }

  /**
   * Checks that options have values, but for those that the profile does not have.
   *
   * @throws StartException if some have none; all are named
   */
  void require(List<Option<?>> needed) {
    Map<OptionTable, OptionValues> tables = new LinkedHashMap<>();
    tables.put(FcpOptions.TABLE, fcp);
    tables.put(SecurityOptions.TABLE, security);
    tables.put(EncryptionOptions.TABLE, encryption);
    if (profile == Profile.LOCAL) {
      tables.put(LocalOptions.TABLE, local);
    }
    List<String> missing = new ArrayList<>();
    tables.forEach((table, values) -> {
      List<String> names = needed.stream()
          .filter(option -> table.contains(option) && values.get(option).isEmpty())
          .map(option -> "--" + option.name())
          .toList();
      if (!names.isEmpty()) {
        missing.add(table.variable() + ": expected " + String.join(", ", names) + ", found no value");
      }
    });
    if (!missing.isEmpty()) {
      throw StartException.usage(String.join("; ", missing));
    }
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

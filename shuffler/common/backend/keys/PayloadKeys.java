package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.keys;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.JsonClient;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.LocalKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.Payloads;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.PrivateKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.PublicKeyService;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.PublicKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.gcp.CoordinatorKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.gcp.GoogleCoordinators;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.EncryptionOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import java.net.URI;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Clock;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Profile;

/**
 * The keys of encrypted payloads. Where they come from is the profile's business and nobody else's: in Google Cloud from coordinators that
 * release them to expected images only, by addresses that are part of the measured image; on one machine from its folder.
 */
@Configuration(proxyBeanMethods = false)
@Import({PayloadKeys.Local.class, PayloadKeys.Cloud.class})
public class PayloadKeys {
  // A model has to fit into memory several times.
  private static final int LARGEST = 512 << 20;

  /** The options without which there are none. */
  public static List<Option<?>> needs(StartOptions options) {
    return switch (options.profile()) {
      case LOCAL -> List.of(LocalOptions.BLOB_FOLDER);
      case GCP -> List.of(
          EncryptionOptions.PUBLIC_KEY_SERVICE_BASE_URL,
          FcpOptions.ENCRYPTION_KEY_SERVICE_A_BASE_URL,
          FcpOptions.ENCRYPTION_KEY_SERVICE_B_BASE_URL,
          FcpOptions.ENCRYPTION_KEY_SERVICE_A_CLOUDFUNCTION_URL,
          FcpOptions.ENCRYPTION_KEY_SERVICE_B_CLOUDFUNCTION_URL,
          FcpOptions.WIP_PROVIDER_A,
          FcpOptions.WIP_PROVIDER_B,
          FcpOptions.SERVICE_ACCOUNT_A,
          FcpOptions.SERVICE_ACCOUNT_B);
    };
  }

  @Bean
  Payloads payloads(PublicKeys publicKeys, PrivateKeys privateKeys) {
    return new Payloads(publicKeys, privateKeys, LARGEST);
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("local")
  static class Local {
    @Bean
    LocalKeys localKeys(@Qualifier("localOptions") OptionValues local) {
      return new LocalKeys(Path.of(local.get(LocalOptions.BLOB_FOLDER).orElseThrow()));
    }
  }

  @Configuration(proxyBeanMethods = false)
  @Profile("gcp")
  static class Cloud {
    @Bean
    JsonClient keyClient() {
      return new JsonClient();
    }

    @Bean
    PublicKeyService publicKeys(@Qualifier("encryptionOptions") OptionValues encryption, JsonClient client, Clock clock) {
      URI uri = URI.create(encryption.get(EncryptionOptions.PUBLIC_KEY_SERVICE_BASE_URL).orElseThrow());
      return new PublicKeyService(uri, client, clock, new SecureRandom());
    }

    @Bean
    CoordinatorKeys privateKeys(@Qualifier("fcpOptions") OptionValues fcp, JsonClient client, Clock clock) {
      return new CoordinatorKeys(
          GoogleCoordinators.coordinator(
              URI.create(fcp.get(FcpOptions.ENCRYPTION_KEY_SERVICE_A_BASE_URL).orElseThrow()),
              fcp.get(FcpOptions.ENCRYPTION_KEY_SERVICE_A_CLOUDFUNCTION_URL).orElseThrow(),
              fcp.get(FcpOptions.WIP_PROVIDER_A).orElseThrow(),
              fcp.get(FcpOptions.SERVICE_ACCOUNT_A).orElseThrow()),
          GoogleCoordinators.coordinator(
              URI.create(fcp.get(FcpOptions.ENCRYPTION_KEY_SERVICE_B_BASE_URL).orElseThrow()),
              fcp.get(FcpOptions.ENCRYPTION_KEY_SERVICE_B_CLOUDFUNCTION_URL).orElseThrow(),
              fcp.get(FcpOptions.WIP_PROVIDER_B).orElseThrow(),
              fcp.get(FcpOptions.SERVICE_ACCOUNT_B).orElseThrow()),
          client,
          clock);
    }
  }
}

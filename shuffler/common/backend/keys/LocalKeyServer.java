package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.keys;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.LocalKeys;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.PublicKeyController;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;

/** The public key service of the profile local. The one service that publishes the key imports it. */
@Configuration(proxyBeanMethods = false)
@Profile("local")
public class LocalKeyServer {
  @Bean
  PublicKeyController publicKeyController(LocalKeys keys) {
    return new PublicKeyController(keys);
  }
}

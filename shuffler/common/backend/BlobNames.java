package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Where blobs lie; for a service that names them but does not touch them. */
@Configuration(proxyBeanMethods = false)
public class BlobNames {
  /** The options without which nobody knows; in the profile local there are names for one machine. */
  public static List<Option<?>> needs(StartOptions options) {
    return switch (options.profile()) {
      case LOCAL -> List.of();
      case GCP -> List.of(
          FcpOptions.MODEL_BUCKET_TEMPLATE, FcpOptions.CLIENT_GRADIENT_BUCKET_TEMPLATE, FcpOptions.AGGREGATED_GRADIENT_BUCKET_TEMPLATE);
    };
  }

  @Bean
  BlobLayout blobLayout(@Qualifier("fcpOptions") OptionValues fcp) {
    return new BlobLayout(
        fcp.get(FcpOptions.MODEL_BUCKET_TEMPLATE).orElse("fcp-local-m-%s"),
        fcp.get(FcpOptions.CLIENT_GRADIENT_BUCKET_TEMPLATE).orElse("fcp-local-g-%s"),
        fcp.get(FcpOptions.AGGREGATED_GRADIENT_BUCKET_TEMPLATE).orElse("fcp-local-a-%s"));
  }
}

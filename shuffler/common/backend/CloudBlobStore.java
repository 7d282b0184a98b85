package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp.CdnUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp.CloudBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import java.time.Clock;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;

/** The blobs of the profile gcp, in Cloud Storage. In other profiles there is nothing here. */
@Configuration(proxyBeanMethods = false)
@Profile("gcp")
class CloudBlobStore {
  /**
   * The options without which there are none.
   *
   * @throws InvalidOptionsException if those of the CDN are incomplete; then nothing is to start
   */
  static List<Option<?>> needs(OptionValues fcp) {
    CdnUrls.of(fcp, Clock.systemUTC());
    return List.of(FcpOptions.PROJECT_ID);
  }

  // A plan or checkpoint is in memory as a whole when it is used.
  private static final int LARGEST = 512 << 20;

  @Bean
  CloudBlobs blobs(@Qualifier("fcpOptions") OptionValues fcp, Clock clock) {
    return CloudBlobs.connect(fcp.get(FcpOptions.PROJECT_ID).orElseThrow(), clock, CdnUrls.of(fcp, clock), LARGEST);
  }

  @Bean
  BoundedCheck blobsCheck(CloudBlobs blobs, BlobLayout layout) {
    return new BoundedCheck("blobs", () -> blobs.check(layout.modelBucket()));
  }
}

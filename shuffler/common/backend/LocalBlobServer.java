package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobController;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;

/** Imported by the one service that serves the URLs of {@link LocalBlobs}. */
@Configuration(proxyBeanMethods = false)
@Profile("local")
public class LocalBlobServer {
  @Bean
  BlobController blobController(FileBlobs blobs, LocalUrls urls) {
    return new BlobController(blobs, urls);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;

/** The blobs of the profile local: files in a folder. In other profiles there is nothing here. */
@Configuration(proxyBeanMethods = false)
@Profile("local")
public class LocalBlobs {
  /** The options without which there are none. */
  public static final List<Option<?>> NEEDS = List.of(LocalOptions.BLOB_FOLDER, LocalOptions.PUBLIC_URL);

  // A plan or checkpoint is in memory as a whole when it is used.
  private static final int LARGEST = 256 << 20;

  @Bean
  LocalUrls localUrls(@Qualifier("localOptions") OptionValues local, Clock clock) {
    return new LocalUrls(local.get(LocalOptions.PUBLIC_URL).orElseThrow(), LocalUrls.sharedKey(folder(local)), clock);
  }

  @Bean
  FileBlobs blobs(@Qualifier("localOptions") OptionValues local, LocalUrls urls) {
    return new FileBlobs(folder(local).resolve("blobs"), urls, LARGEST);
  }

  @Bean
  BoundedCheck blobsCheck(FileBlobs blobs) {
    return new BoundedCheck("blobs", blobs::check);
  }

  private static Path folder(OptionValues local) {
    return Path.of(local.get(LocalOptions.BLOB_FOLDER).orElseThrow());
  }
}

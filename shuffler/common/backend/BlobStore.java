package com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;

/** The blobs, and where they lie. */
@Configuration(proxyBeanMethods = false)
@Import({BlobNames.class, CloudBlobStore.class, LocalBlobs.class})
public class BlobStore {
  /** The options without which there is none. */
  public static List<Option<?>> needs(StartOptions options) {
    return switch (options.profile()) {
      case LOCAL -> LocalBlobs.NEEDS;
      case GCP -> Stream.of(BlobNames.needs(options), CloudBlobStore.needs(options.fcp())).<Option<?>>flatMap(List::stream).toList();
    };
  }
}

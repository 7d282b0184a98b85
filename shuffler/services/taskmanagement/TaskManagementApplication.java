package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.ApiConfiguration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobNames;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.LocalBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.TaskTables;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement.api.ArtifactUrls;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Profile;

/** Creates tasks and shows them. */
@SpringBootApplication
@Import({ApiConfiguration.class, BlobNames.class, LocalBlobs.class, TaskTables.class})
public class TaskManagementApplication {
  private static final Duration UPLOAD_LIFETIME = Duration.ofHours(1);

  public static void main(String[] arguments) {
    ServiceApplication.run(TaskManagementApplication.class, "Task Management", 8082, TaskManagementApplication::needs, arguments);
  }

  private static List<Option<?>> needs(StartOptions options) {
    return Stream.of(BlobNames.needs(options), LocalBlobs.NEEDS, TaskTables.needs(options)).<Option<?>>flatMap(List::stream).toList();
  }

  @Bean
  @Profile("local")
  ArtifactUrls signedArtifactUrls(FileBlobs blobs) {
    return name -> blobs.uploadUrl(name, UPLOAD_LIFETIME).url().toString();
  }

  @Bean
  @Profile("gcp")
  ArtifactUrls artifactUrls() {
    return BlobName::toString;
  }
}

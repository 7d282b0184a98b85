package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement.api;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;

/** Where who creates a task uploads its artifacts: {@code gs://} addresses, or in the profile local signed URLs. */
@FunctionalInterface
public interface ArtifactUrls {
  String url(BlobName name);
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.cloud.storage.HttpMethod;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import java.io.IOException;
import java.io.InputStream;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Google's published test vectors of V4 signed URLs: v4_signatures.json of https://github.com/googleapis/conformance-tests, as the artifact
 * google-cloud-conformance-tests has it. Whole URLs are compared, signature included.
 */
class SignedUrlVectorsTest {
  private static final String VECTORS = "/com/google/cloud/conformance/storage/v1/v4_signatures.json";

  @TestFactory
  List<DynamicTest> urlsAreAsPublished() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    try (InputStream file = SignedUrlVectorsTest.class.getResourceAsStream(VECTORS)) {
      for (JsonNode vector : new ObjectMapper().readTree(file).get("signingV4Tests")) {
        // What a port of blobs does not ask for: parameters of its own, other hosts, lists, keys that are no BlobName.
        boolean ours = !vector.has("queryParameters")
            && !vector.has("urlStyle")
            && vector.has("object")
            && !vector.get("object").asText().startsWith("/");
        if (ours) {
          tests.add(DynamicTest.dynamicTest(vector.get("description").asText(), () -> compare(vector)));
        }
      }
    }
    assertThat(tests).hasSize(13);
    return tests;
  }

  private static void compare(JsonNode vector) throws Exception {
    Clock clock = Clock.fixed(Instant.parse(vector.get("timestamp").asText()), ZoneOffset.UTC);
    Map<String, String> headers = new TreeMap<>();
    vector.path("headers").fields().forEachRemaining(header -> headers.put(header.getKey(), header.getValue().asText()));
    try (CloudBlobs blobs = new CloudBlobs(
        CloudBlobs.options(clock).setProjectId("test").setCredentials(new ServiceAccount("").withKey()).build().getService(),
        Optional.empty(),
        1)) {
      assertThat(blobs.sign(
              HttpMethod.valueOf(vector.get("method").asText()),
              new BlobName(vector.get("bucket").asText(), vector.get("object").asText()),
              Duration.ofSeconds(vector.get("expiration").asLong()),
              headers)
          .toString()).isEqualTo(vector.get("expectedUrl").asText());
    }
  }
}

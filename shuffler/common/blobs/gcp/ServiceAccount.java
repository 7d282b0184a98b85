package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.api.client.http.LowLevelHttpRequest;
import com.google.api.client.http.LowLevelHttpResponse;
import com.google.api.client.testing.http.MockHttpTransport;
import com.google.api.client.testing.http.MockLowLevelHttpRequest;
import com.google.api.client.testing.http.MockLowLevelHttpResponse;
import com.google.auth.oauth2.ComputeEngineCredentials;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.auth.oauth2.ServiceAccountCredentials;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.spec.RSAPublicKeySpec;
import java.util.Base64;
import java.util.Map;

/** The service account of Google's test vectors, and the servers of Google's that know it, without a network. */
final class ServiceAccount {
  static final String EMAIL = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com";

  private static final String FILE = "/com/google/cloud/conformance/storage/v1/test_service_account.not-a-test.json";

  private final ObjectMapper json = new ObjectMapper();
  private final String token;
  private boolean signs = true;

  /** An account with an access token. */
  ServiceAccount(String token) {
    this.token = token;
  }

  /** Credentials with a private key. */
  ServiceAccountCredentials withKey() {
    try (InputStream file = ServiceAccount.class.getResourceAsStream(FILE)) {
      return ServiceAccountCredentials.fromStream(file, Google::new);
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
  }

  /** Credentials of a machine: its metadata server knows the account, IAM signs for it. */
  GoogleCredentials ofMachine() {
    return ComputeEngineCredentials.newBuilder().setHttpTransportFactory(Google::new).build();
  }

  /** From now on IAM does not sign. */
  void refuseToSign() {
    signs = false;
  }

  PublicKey publicKey() {
    try {
      RSAPrivateCrtKey key = (RSAPrivateCrtKey) withKey().getPrivateKey();
      return KeyFactory.getInstance("RSA").generatePublic(new RSAPublicKeySpec(key.getModulus(), key.getPublicExponent()));
    } catch (GeneralSecurityException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private MockLowLevelHttpResponse answer(String url, String body) throws IOException {
    MockLowLevelHttpResponse answer = new MockLowLevelHttpResponse().addHeader("Metadata-Flavor", "Google");
    if (url.endsWith(":signBlob")) {
      if (!signs) {
        return answer.setStatusCode(403)
            .setContentType("application/json")
            .setContent("{\"error\": {\"code\": 403, \"message\": \"Permission 'iam.serviceAccounts.signBlob' denied\"}}");
      }
      JsonNode request = json.readTree(body);
      byte[] signature = withKey().sign(Base64.getDecoder().decode(request.get("payload").textValue()));
      return answer.setContentType("application/json").setContent(json.writeValueAsString(
          Map.of("keyId", "k", "signedBlob", Base64.getEncoder().encodeToString(signature))));
    }
    if (url.endsWith("/service-accounts/?recursive=true")) {
      return answer.setContentType("application/json").setContent(json.writeValueAsString(Map.of("default", Map.of("email", EMAIL))));
    }
    if (url.contains("/token")) {
      return answer.setContentType("application/json").setContent(
          json.writeValueAsString(Map.of("access_token", token, "expires_in", 3600, "token_type", "Bearer")));
    }
    return answer.setStatusCode(404).setContentType("text/plain").setContent("unknown: " + url);
  }

  /** Metadata server, token server and IAM. */
  private final class Google extends MockHttpTransport {
    @Override
    public LowLevelHttpRequest buildRequest(String method, String url) {
      return new MockLowLevelHttpRequest(url) {
        @Override
        public LowLevelHttpResponse execute() throws IOException {
          return answer(url, getContentAsString());
        }
      };
    }
  }
}

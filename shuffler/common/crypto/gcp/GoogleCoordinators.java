package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.gcp;

import com.google.api.client.googleapis.javanet.GoogleNetHttpTransport;
import com.google.api.client.http.HttpTransport;
import com.google.api.client.json.gson.GsonFactory;
import com.google.api.services.cloudkms.v1.CloudKMS;
import com.google.auth.http.HttpCredentialsAdapter;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.auth.oauth2.IdTokenCredentials;
import com.google.auth.oauth2.IdTokenProvider;
import com.google.crypto.tink.integration.gcpkms.GcpKmsAead;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto.KeyServiceException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;

/**
 * Coordinators on Google Cloud as a workload in Confidential Space reaches them: its attestation token, which the launcher leaves in a
 * file, is exchanged for the right to use a coordinator's key management service; that exchange is where the image hash is checked.
 */
public final class GoogleCoordinators {
  private static final String ATTESTATION_TOKEN = "/run/container_launcher/attestation_verifier_claims_token";
  private static final String KMS_SCOPE = "https://www.googleapis.com/auth/cloudkms";
  private static final String KEY_PREFIX = "gcp-kms://";
  private static final int WAIT_MILLISECONDS = (int) Duration.ofMinutes(1).toMillis();

  private GoogleCoordinators() {}

  /**
   * A coordinator.
   *
   * @param base of its key service
   * @param audience of the identity token that the key service wants: the address of its cloud function
   * @param workloadIdentityProvider that knows the expected images
   * @param serviceAccount which images that are expected may use
   */
  public static Coordinator coordinator(URI base, String audience, String workloadIdentityProvider, String serviceAccount) {
    try {
      GoogleCredentials own = GoogleCredentials.getApplicationDefault();
      if (!(own instanceof IdTokenProvider provider)) {
        throw new KeyServiceException("expected credentials of a machine that give identity tokens, found others");
      }
      IdTokenCredentials identity =
          IdTokenCredentials.newBuilder().setIdTokenProvider(provider).setTargetAudience(audience).build();
      GoogleCredentials attested = GoogleCredentials
          .fromStream(new ByteArrayInputStream(
              exchange(workloadIdentityProvider, serviceAccount, ATTESTATION_TOKEN).getBytes(StandardCharsets.UTF_8)))
          .createScoped(List.of(KMS_SCOPE));
      HttpTransport transport = GoogleNetHttpTransport.newTrustedTransport();
      return new Coordinator(base, authorization(identity), decrypter(transport, attested, CloudKMS.DEFAULT_ROOT_URL));
    } catch (IOException | GeneralSecurityException problem) {
      throw new KeyServiceException("credentials for " + base.getHost() + ": " + problem.getMessage(), problem);
    }
  }

  /** Configuration of the exchange: https://google.aip.dev/auth/4117. */
  static String exchange(String workloadIdentityProvider, String serviceAccount, String tokenFile) {
    // Names of resources of Google Cloud: nothing in them ends a text.
    for (String name : List.of(workloadIdentityProvider, serviceAccount)) {
      if (!name.matches("[A-Za-z0-9@._:/-]+")) {
        throw new KeyServiceException("expected the names of a workload identity provider and of a service account, found something else");
      }
    }
    return """
        {"type": "external_account",
         "audience": "//iam.googleapis.com/%s",
         "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
         "token_url": "https://sts.googleapis.com/v1/token",
         "credential_source": {"file": "%s"},
         "service_account_impersonation_url":
           "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/%s:generateAccessToken"}
        """.formatted(workloadIdentityProvider, tokenFile, serviceAccount);
  }

  /** Decrypts by Cloud KMS. */
  static Coordinator.KeyDecrypter decrypter(HttpTransport transport, GoogleCredentials credentials, String rootUrl) {
    HttpCredentialsAdapter adapter = new HttpCredentialsAdapter(credentials);
    CloudKMS kms = new CloudKMS.Builder(transport, GsonFactory.getDefaultInstance(), request -> {
          adapter.initialize(request);
          request.setConnectTimeout(WAIT_MILLISECONDS);
          request.setReadTimeout(WAIT_MILLISECONDS);
        })
        .setRootUrl(rootUrl)
        .setApplicationName("federatedcompute")
        .build();
    return (uri, ciphertext) -> {
      if (!uri.startsWith(KEY_PREFIX)) {
        throw new GeneralSecurityException("expected a key of Cloud KMS, " + KEY_PREFIX + "..., found another");
      }
      return GcpKmsAead.builder().setCloudKms(kms).setKeyName(uri.substring(KEY_PREFIX.length())).build().decrypt(ciphertext, new byte[0]);
    };
  }

  private static Supplier<String> authorization(IdTokenCredentials credentials) {
    return () -> {
      try {
        credentials.refreshIfExpired();
        return "Bearer " + credentials.getAccessToken().getTokenValue();
      } catch (IOException problem) {
        throw new KeyServiceException("no identity token from the metadata server: " + problem.getMessage(), problem);
      }
    };
  }
}

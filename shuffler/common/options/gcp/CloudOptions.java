package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.gcp;

import com.google.api.gax.core.CredentialsProvider;
import com.google.api.gax.rpc.ApiException;
import com.google.api.gax.rpc.NotFoundException;
import com.google.api.gax.rpc.TransportChannelProvider;
import com.google.cloud.secretmanager.v1.SecretManagerServiceClient;
import com.google.cloud.secretmanager.v1.SecretManagerServiceSettings;
import com.google.cloud.secretmanager.v1.SecretPayload;
import com.google.cloud.secretmanager.v1.SecretVersionName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.SecurityOptions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * Values that {@code FCP_OPTS} and {@code SECURITY_OPTS} do not give, from Google Cloud: the project and the environment from the machine's
 * metadata, all others from Secret Manager, the newest version of {@code fc-{environment}-{OPTION}}.
 *
 * <p>A value is asked for when a service first reads the option; so a service needs no access to the secrets of others. Those of
 * {@code ENCRYPTION_OPTS} are never read from here: they are part of the measured image.
 */
public final class CloudOptions implements AutoCloseable {
  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final Duration PAUSE = Duration.ofSeconds(1);

  /** Names of secrets that are not the option's in upper case. */
  private static final Map<Option<?>, String> SECRETS = Map.of(
      FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC, "AGGREGATOR_NOTIF_PUBSUB_TOPIC",
      FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION, "AGGREGATOR_NOTIF_PUBSUB_SUBSCRIPTION",
      SecurityOptions.KEY_ATTESTATION_VALIDATION_BASE_URL, "KEY_ATTESTATION_VALIDATION_URL");

  private static final Set<Option<?>> WITHOUT_SECRET = Set.of(FcpOptions.COMPRESSION_FORMAT);

  private final MetadataServer metadata;
  private final TransportChannelProvider channels;
  private final CredentialsProvider credentials;
  private final OptionValues fcp;
  private final OptionValues security;
  private SecretManagerServiceClient client;

  /**
   * Completes options; nothing is asked yet.
   *
   * @param fcp of {@code FCP_OPTS}
   * @param security of {@code SECURITY_OPTS}
   */
  public CloudOptions(OptionValues fcp, OptionValues security) {
    this(
        fcp,
        security,
        new MetadataServer(MetadataServer.ADDRESS, PAUSE),
        SecretManagerServiceSettings.defaultGrpcTransportProviderBuilder().build(),
        SecretManagerServiceSettings.defaultCredentialsProviderBuilder().build());
  }

  CloudOptions(
      OptionValues fcp,
      OptionValues security,
      MetadataServer metadata,
      TransportChannelProvider channels,
      CredentialsProvider credentials) {
    this.metadata = metadata;
    this.channels = channels;
    this.credentials = credentials;
    this.fcp = fcp.or(this::read);
    this.security = security.or(this::read);
  }

  /**
   * The options of {@code FCP_OPTS}. Reading one throws {@link CloudOptionsException} if Google Cloud does not say whether there is a
   * value, and {@link InvalidOptionsException} if there is a malformed one.
   */
  public OptionValues fcp() {
    return fcp;
  }

  /** The options of {@code SECURITY_OPTS}; they are read in the same way. */
  public OptionValues security() {
    return security;
  }

  private Optional<?> read(Option<?> option) {
    if (option.equals(FcpOptions.PROJECT_ID)) {
      return metadata.get("project/project-id");
    }
    if (option.equals(FcpOptions.ENVIRONMENT)) {
      return metadata.get("instance/attributes/environment");
    }
    return WITHOUT_SECRET.contains(option) ? Optional.empty() : secret(option);
  }

  private Optional<?> secret(Option<?> option) {
    String project = fcp.get(FcpOptions.PROJECT_ID)
        .orElseThrow(() -> new InvalidOptionsException("FCP_OPTS: expected --project_id, found no value, nor one in the metadata"));
    String environment = fcp.get(FcpOptions.ENVIRONMENT).map(value -> value + "-").orElse("");
    String name = "fc-" + environment + SECRETS.getOrDefault(option, option.name().toUpperCase(Locale.ROOT));
    return payload(SecretVersionName.of(project, name, "latest")).map(text -> option
        .parser()
        .apply(text)
        .orElseThrow(() -> new InvalidOptionsException(
            "secret " + name + ": expected " + option.expected() + " for --" + option.name() + ", found something else")));
  }

  private Optional<String> payload(SecretVersionName version) {
    String secret = "secret " + version.getSecret();
    SecretPayload payload;
    try {
      payload = client().accessSecretVersion(version).getPayload();
    } catch (NotFoundException absent) {
      return Optional.empty();
    } catch (ApiException problem) {
      throw new CloudOptionsException(
          secret + " of project " + version.getProject() + ": expected a value or that there is none, found "
              + problem.getStatusCode().getCode(),
          problem);
    } catch (IOException problem) {
      throw new CloudOptionsException(secret + ": no credentials for Secret Manager: " + problem.getMessage(), problem);
    }
    byte[] data = payload.getData().toByteArray();
    CRC32C crc = new CRC32C();
    crc.update(data);
    if (payload.hasDataCrc32C() && payload.getDataCrc32C() != crc.getValue()) {
      throw new CloudOptionsException(secret + ": expected the CRC32C of its value, found another one; it was damaged on its way", null);
    }
    try {
      return Optional.of(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(data)).toString());
    } catch (CharacterCodingException notText) {
      throw new InvalidOptionsException(secret + ": expected UTF-8, found something else");
    }
  }

  private synchronized SecretManagerServiceClient client() throws IOException {
    if (client == null) {
      SecretManagerServiceSettings.Builder settings =
          SecretManagerServiceSettings.newBuilder().setTransportChannelProvider(channels).setCredentialsProvider(credentials);
      settings.accessSecretVersionSettings().retrySettings().setTotalTimeoutDuration(WAIT);
      client = SecretManagerServiceClient.create(settings.build());
    }
    return client;
  }

  @Override
  public synchronized void close() {
    if (client != null) {
      client.close();
    }
  }
}

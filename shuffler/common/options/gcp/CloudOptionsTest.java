package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.api.gax.core.NoCredentialsProvider;
import com.google.cloud.secretmanager.v1.AccessSecretVersionRequest;
import com.google.cloud.secretmanager.v1.AccessSecretVersionResponse;
import com.google.cloud.secretmanager.v1.SecretManagerServiceSettings;
import com.google.cloud.secretmanager.v1.SecretPayload;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.SecurityOptions;
import com.google.protobuf.ByteString;
import com.sun.net.httpserver.HttpServer;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Options from servers that speak the protocols of Secret Manager and of the metadata server. */
class CloudOptionsTest {
  private static final MethodDescriptor<AccessSecretVersionRequest, AccessSecretVersionResponse> ACCESS =
      MethodDescriptor.<AccessSecretVersionRequest, AccessSecretVersionResponse>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion")
          .setRequestMarshaller(ProtoUtils.marshaller(AccessSecretVersionRequest.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(AccessSecretVersionResponse.getDefaultInstance()))
          .build();

  private final Map<String, SecretPayload> secrets = new ConcurrentHashMap<>();
  private final Map<String, String> metadata = new ConcurrentHashMap<>();
  private final List<String> asked = new CopyOnWriteArrayList<>();
  private final List<Integer> failures = new CopyOnWriteArrayList<>();
  private Server secretManager;
  private HttpServer metadataServer;

  @BeforeEach
  void serve() throws IOException {
    secretManager = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
        .addService(ServerServiceDefinition.builder("google.cloud.secretmanager.v1.SecretManagerService")
            .addMethod(ACCESS, ServerCalls.asyncUnaryCall(this::access))
            .build())
        .build()
        .start();
    metadataServer = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    metadataServer.createContext("/", exchange -> {
      String path = exchange.getRequestURI().getPath();
      asked.add(path);
      String found = metadata.get(path);
      boolean google = "Google".equals(exchange.getRequestHeaders().getFirst("Metadata-Flavor"));
      int status = !failures.isEmpty() ? failures.remove(0) : !google ? 403 : found == null ? 404 : 200;
      exchange.getResponseHeaders().set("Metadata-Flavor", "Google");
      byte[] body = status == 200 ? found.getBytes(StandardCharsets.UTF_8) : new byte[0];
      exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    metadataServer.start();
  }

  @AfterEach
  void stop() {
    secretManager.shutdownNow();
    metadataServer.stop(0);
  }

  private void access(AccessSecretVersionRequest request, StreamObserver<AccessSecretVersionResponse> reply) {
    asked.add(request.getName());
    if (request.getName().contains("SIGNING_KEY_VALUE_B")) {
      reply.onError(Status.PERMISSION_DENIED.withDescription("told to nobody").asRuntimeException());
      return;
    }
    SecretPayload payload = secrets.get(request.getName());
    if (payload == null) {
      reply.onError(Status.NOT_FOUND.asRuntimeException());
      return;
    }
    reply.onNext(AccessSecretVersionResponse.newBuilder().setName(request.getName()).setPayload(payload).build());
    reply.onCompleted();
  }

  private void put(String name, byte[] value) {
    CRC32C crc = new CRC32C();
    crc.update(value);
    secrets.put(name, SecretPayload.newBuilder().setData(ByteString.copyFrom(value)).setDataCrc32C(crc.getValue()).build());
  }

  private void put(String name, String value) {
    put(name, value.getBytes(StandardCharsets.UTF_8));
  }

  private CloudOptions options(String fcp, String security) {
    return new CloudOptions(
        FcpOptions.TABLE.parse(fcp),
        SecurityOptions.TABLE.parse(security),
        new MetadataServer(URI.create("http://localhost:" + metadataServer.getAddress().getPort()), Duration.ofMillis(1)),
        SecretManagerServiceSettings.defaultGrpcTransportProviderBuilder()
            .setEndpoint("localhost:" + secretManager.getPort())
            .setChannelConfigurator(ManagedChannelBuilder::usePlaintext)
            .build(),
        NoCredentialsProvider.create());
  }

  @Test
  void variableGoesFirstThenSecretThenDefault() {
    put("projects/p/secrets/fc-e-UPLOAD_TIMEOUT_MINUTES/versions/latest", "7");
    put("projects/p/secrets/fc-e-LOCAL_COMPUTE_TIMEOUT_MINUTES/versions/latest", "8");
    put("projects/p/secrets/fc-e-MODEL_CDN_SIGNING_KEY_VALUE_A/versions/latest", "ä 'key'\n");
    try (CloudOptions options = options("--project_id p --environment e --local_compute_timeout_minutes 3", "")) {
      assertThat(asked).isEmpty();
      assertThat(options.fcp().get(FcpOptions.LOCAL_COMPUTE_TIMEOUT)).contains(Duration.ofMinutes(3));
      assertThat(asked).isEmpty();
      assertThat(options.fcp().get(FcpOptions.UPLOAD_TIMEOUT)).contains(Duration.ofMinutes(7));
      assertThat(options.fcp().get(FcpOptions.UPLOAD_TIMEOUT)).contains(Duration.ofMinutes(7));
      assertThat(options.fcp().get(FcpOptions.MODEL_CDN_SIGNING_KEY_VALUE_A)).contains("ä 'key'\n");
      assertThat(options.fcp().get(FcpOptions.COLLECTOR_BATCH_SIZE)).contains(50);
      assertThat(options.fcp().get(FcpOptions.AGGREGATION_BATCH_FAILURE_THRESHOLD)).isEmpty();
      assertThat(options.security().get(SecurityOptions.IS_AUTHENTICATION_ENABLED)).contains(false);
    }
    assertThat(asked).containsExactly(
        "projects/p/secrets/fc-e-UPLOAD_TIMEOUT_MINUTES/versions/latest",
        "projects/p/secrets/fc-e-MODEL_CDN_SIGNING_KEY_VALUE_A/versions/latest",
        "projects/p/secrets/fc-e-COLLECTOR_BATCH_SIZE/versions/latest",
        "projects/p/secrets/fc-e-AGGREGATION_BATCH_FAILURE_THRESHOLD/versions/latest",
        "projects/p/secrets/fc-e-IS_AUTHENTICATION_ENABLED/versions/latest");
  }

  @Test
  void projectAndEnvironmentAreTheMachines() {
    metadata.put("/computeMetadata/v1/project/project-id", "machine-project");
    metadata.put("/computeMetadata/v1/instance/attributes/environment", "dev");
    put("projects/machine-project/secrets/fc-dev-SPANNER_INSTANCE/versions/latest", "spanner");
    put("projects/machine-project/secrets/fc-dev-TASK_DATABASE_NAME/versions/latest", "tasks");
    try (CloudOptions options = options("", "")) {
      assertThat(options.fcp().get(FcpOptions.SPANNER_INSTANCE)).contains("spanner");
      assertThat(options.fcp().get(FcpOptions.TASK_DATABASE_NAME)).contains("tasks");
      assertThat(options.fcp().get(FcpOptions.PROJECT_ID)).contains("machine-project");
      assertThat(options.fcp().get(FcpOptions.ENVIRONMENT)).contains("dev");
    }
    assertThat(asked).filteredOn(name -> name.startsWith("/")).hasSize(2);
  }

  @Test
  void withoutAnEnvironmentItsDashIsDropped() {
    metadata.put("/computeMetadata/v1/project/project-id", "p");
    put("projects/p/secrets/fc-SPANNER_INSTANCE/versions/latest", "spanner");
    try (CloudOptions options = options("", "")) {
      assertThat(options.fcp().get(FcpOptions.SPANNER_INSTANCE)).contains("spanner");
      assertThat(options.fcp().get(FcpOptions.ENVIRONMENT)).isEmpty();
    }
  }

  @Test
  void someSecretsHaveOtherNamesThanTheirOptions() {
    put("projects/p/secrets/fc-e-AGGREGATOR_NOTIF_PUBSUB_TOPIC/versions/latest", "t");
    put("projects/p/secrets/fc-e-AGGREGATOR_NOTIF_PUBSUB_SUBSCRIPTION/versions/latest", "s");
    put("projects/p/secrets/fc-e-KEY_ATTESTATION_VALIDATION_URL/versions/latest", "https://attestation.example/v1");
    try (CloudOptions options = options("--project_id p --environment e", "")) {
      assertThat(options.fcp().get(FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC)).contains("t");
      assertThat(options.fcp().get(FcpOptions.AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION)).contains("s");
      assertThat(options.security().get(SecurityOptions.KEY_ATTESTATION_VALIDATION_BASE_URL))
          .contains(URI.create("https://attestation.example/v1"));
      assertThat(options.fcp().get(FcpOptions.COMPRESSION_FORMAT)).isPresent();
    }
    assertThat(asked).noneMatch(name -> name.contains("COMPRESSION"));
  }

  @Test
  void whatCannotBeReadOrUsedIsNamedWithoutItsValue() {
    put("projects/p/secrets/fc-e-UPLOAD_TIMEOUT_MINUTES/versions/latest", "hidden");
    put("projects/p/secrets/fc-e-MODEL_CDN_ENDPOINT/versions/latest", new byte[] {'h', 'i', 'd', 'd', 'e', 'n', (byte) 0xff});
    secrets.put(
        "projects/p/secrets/fc-e-MODEL_CDN_SIGNING_KEY_NAME/versions/latest",
        SecretPayload.newBuilder().setData(ByteString.copyFromUtf8("hidden")).setDataCrc32C(1).build());
    try (CloudOptions options = options("--project_id p --environment e", "")) {
      Map<Option<?>, String> problems = Map.of(
          FcpOptions.UPLOAD_TIMEOUT,
          "secret fc-e-UPLOAD_TIMEOUT_MINUTES: expected a whole number of minutes from 1 to 2147483647 for --upload_timeout_minutes, "
              + "found something else",
          FcpOptions.MODEL_CDN_ENDPOINT,
          "secret fc-e-MODEL_CDN_ENDPOINT: expected UTF-8, found something else",
          FcpOptions.MODEL_CDN_SIGNING_KEY_NAME,
          "secret fc-e-MODEL_CDN_SIGNING_KEY_NAME: expected the CRC32C of its value, found another one; it was damaged on its way",
          FcpOptions.MODEL_CDN_SIGNING_KEY_VALUE_B,
          "secret fc-e-MODEL_CDN_SIGNING_KEY_VALUE_B of project p: expected a value or that there is none, found PERMISSION_DENIED");
      problems.forEach((option, message) -> assertThatThrownBy(() -> options.fcp().get(option))
          .isInstanceOfAny(InvalidOptionsException.class, CloudOptionsException.class)
          .hasMessage(message));
    }
  }

  @Test
  void metadataServerThatIsNotUpYetIsAskedAgain() {
    metadata.put("/computeMetadata/v1/project/project-id", "p");
    failures.addAll(List.of(503, 500));
    try (CloudOptions options = options("", "")) {
      assertThat(options.fcp().get(FcpOptions.PROJECT_ID)).contains("p");
    }
  }

  @Test
  void machineOutsideGoogleCloudIsToldSo() {
    metadataServer.stop(0);
    try (CloudOptions options = options("", "")) {
      assertThatThrownBy(() -> options.fcp().get(FcpOptions.PROJECT_ID))
          .isInstanceOf(CloudOptionsException.class)
          .hasMessageStartingWith("metadata server: project/project-id: expected an answer, found none: ")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void machineWithoutAProjectIsToldSo() {
    try (CloudOptions options = options("", "")) {
      assertThatThrownBy(() -> options.fcp().get(FcpOptions.SPANNER_INSTANCE))
          .isInstanceOf(InvalidOptionsException.class)
          .hasMessage("FCP_OPTS: expected --project_id, found no value, nor one in the metadata");
    }
  }
}

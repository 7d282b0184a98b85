package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.bucketTemplate;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.compressionFormats;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.minutes;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.positiveInt;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.positiveLong;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.seconds;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.text;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.truth;

import java.time.Duration;
import java.util.List;

/** {@code FCP_OPTS}: the options that a deployment gives; in a TEE the only ones that an operator can set. */
public final class FcpOptions {
  public static final Option<String> PROJECT_ID = text("project_id");
  public static final Option<String> ENVIRONMENT = text("environment");

  public static final Option<String> SPANNER_INSTANCE = text("spanner_instance");
  public static final Option<String> TASK_DATABASE_NAME = text("task_database_name");
  public static final Option<String> METRICS_SPANNER_INSTANCE = text("metrics_spanner_instance");
  public static final Option<String> METRICS_DATABASE_NAME = text("metrics_database_name");

  public static final Option<String> CLIENT_GRADIENT_BUCKET_TEMPLATE = bucketTemplate("client_gradient_bucket_template");
  public static final Option<String> AGGREGATED_GRADIENT_BUCKET_TEMPLATE = bucketTemplate("aggregated_gradient_bucket_template");
  public static final Option<String> MODEL_BUCKET_TEMPLATE = bucketTemplate("model_bucket_template");

  public static final Option<Duration> DOWNLOAD_PLAN_TOKEN_DURATION =
      seconds("download_plan_token_duration").withDefault(Duration.ofSeconds(900));
  public static final Option<Duration> DOWNLOAD_CHECKPOINT_TOKEN_DURATION =
      seconds("download_checkpoint_token_duration").withDefault(Duration.ofSeconds(900));
  public static final Option<Duration> UPLOAD_GRADIENT_TOKEN_DURATION =
      seconds("upload_gradient_token_duration").withDefault(Duration.ofSeconds(900));
  public static final Option<Duration> LOCAL_COMPUTE_TIMEOUT = minutes("local_compute_timeout_minutes").withDefault(Duration.ofMinutes(15));
  public static final Option<Duration> UPLOAD_TIMEOUT = minutes("upload_timeout_minutes").withDefault(Duration.ofMinutes(15));

  public static final Option<String> AGGREGATOR_PUBSUB_TOPIC = text("aggregator_pubsub_topic");
  public static final Option<String> AGGREGATOR_PUBSUB_SUBSCRIPTION = text("aggregator_pubsub_subscription");
  public static final Option<String> MODEL_UPDATER_PUBSUB_TOPIC = text("model_updater_pubsub_topic");
  public static final Option<String> MODEL_UPDATER_PUBSUB_SUBSCRIPTION = text("model_updater_pubsub_subscription");
  public static final Option<String> AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC = text("aggregator_notification_pubsub_topic");
  public static final Option<String> AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION = text("aggregator_notification_pubsub_subscription");

  public static final Option<String> ENCRYPTION_KEY_SERVICE_A_BASE_URL = text("encryption_key_service_a_base_url");
  public static final Option<String> ENCRYPTION_KEY_SERVICE_B_BASE_URL = text("encryption_key_service_b_base_url");
  public static final Option<String> ENCRYPTION_KEY_SERVICE_A_CLOUDFUNCTION_URL = text("encryption_key_service_a_cloudfunction_url");
  public static final Option<String> ENCRYPTION_KEY_SERVICE_B_CLOUDFUNCTION_URL = text("encryption_key_service_b_cloudfunction_url");
  public static final Option<String> WIP_PROVIDER_A = text("wip_provider_a");
  public static final Option<String> WIP_PROVIDER_B = text("wip_provider_b");
  public static final Option<String> SERVICE_ACCOUNT_A = text("service_account_a");
  public static final Option<String> SERVICE_ACCOUNT_B = text("service_account_b");

  public static final Option<Long> AGGREGATOR_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT =
      positiveLong("aggregator_subscriber_max_outstanding_element_count").withDefault(2L);
  public static final Option<Long> MODEL_UPDATER_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT =
      positiveLong("model_updater_subscriber_max_outstanding_element_count").withDefault(2L);
  public static final Option<Integer> COLLECTOR_BATCH_SIZE = positiveInt("collector_batch_size").withDefault(50);
  public static final Option<List<CompressionFormat>> COMPRESSION_FORMAT =
      compressionFormats("compression_format").withDefault(List.of(CompressionFormat.GZIP));

  public static final Option<String> MODEL_CDN_ENDPOINT = text("model_cdn_endpoint");
  public static final Option<String> MODEL_CDN_SIGNING_KEY_NAME = text("model_cdn_signing_key_name");
  public static final Option<String> MODEL_CDN_SIGNING_KEY_VALUE_A = text("model_cdn_signing_key_value_a");
  public static final Option<String> MODEL_CDN_SIGNING_KEY_VALUE_B = text("model_cdn_signing_key_value_b");

  public static final Option<Long> AGGREGATION_BATCH_FAILURE_THRESHOLD = positiveLong("aggregation_batch_failure_threshold");
  public static final Option<Boolean> ENABLE_AGGREGATION_SUCCESS_NOTIFICATIONS =
      truth("enable_aggregation_success_notifications").withDefault(false);

  public static final OptionTable TABLE = new OptionTable(
      "FCP_OPTS",
      List.of(
          PROJECT_ID,
          ENVIRONMENT,
          SPANNER_INSTANCE,
          TASK_DATABASE_NAME,
          METRICS_SPANNER_INSTANCE,
          METRICS_DATABASE_NAME,
          CLIENT_GRADIENT_BUCKET_TEMPLATE,
          AGGREGATED_GRADIENT_BUCKET_TEMPLATE,
          MODEL_BUCKET_TEMPLATE,
          DOWNLOAD_PLAN_TOKEN_DURATION,
          DOWNLOAD_CHECKPOINT_TOKEN_DURATION,
          UPLOAD_GRADIENT_TOKEN_DURATION,
          LOCAL_COMPUTE_TIMEOUT,
          UPLOAD_TIMEOUT,
          AGGREGATOR_PUBSUB_TOPIC,
          AGGREGATOR_PUBSUB_SUBSCRIPTION,
          MODEL_UPDATER_PUBSUB_TOPIC,
          MODEL_UPDATER_PUBSUB_SUBSCRIPTION,
          AGGREGATOR_NOTIFICATION_PUBSUB_TOPIC,
          AGGREGATOR_NOTIFICATION_PUBSUB_SUBSCRIPTION,
          ENCRYPTION_KEY_SERVICE_A_BASE_URL,
          ENCRYPTION_KEY_SERVICE_B_BASE_URL,
          ENCRYPTION_KEY_SERVICE_A_CLOUDFUNCTION_URL,
          ENCRYPTION_KEY_SERVICE_B_CLOUDFUNCTION_URL,
          WIP_PROVIDER_A,
          WIP_PROVIDER_B,
          SERVICE_ACCOUNT_A,
          SERVICE_ACCOUNT_B,
          AGGREGATOR_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT,
          MODEL_UPDATER_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT,
          COLLECTOR_BATCH_SIZE,
          COMPRESSION_FORMAT,
          MODEL_CDN_ENDPOINT,
          MODEL_CDN_SIGNING_KEY_NAME,
          MODEL_CDN_SIGNING_KEY_VALUE_A,
          MODEL_CDN_SIGNING_KEY_VALUE_B,
          AGGREGATION_BATCH_FAILURE_THRESHOLD,
          ENABLE_AGGREGATION_SUCCESS_NOTIFICATIONS));

  private FcpOptions() {}
}

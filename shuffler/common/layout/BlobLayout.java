package com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;

/**
 * Where the blobs of tasks lie. Buckets are partitioned, {@code %s} in a template is the number of the partition; there is only
 * partition 0.
 *
 * <p>{@code s} in a key is the server's side, {@code d} the devices'. A result is what an iteration leaves; result 0 is what the task began
 * with.
 *
 * @param models template of the buckets of plans, checkpoints and metrics
 * @param gradients template of the buckets of device uploads
 * @param aggregates template of the buckets of aggregated batches
 */
public record BlobLayout(String models, String gradients, String aggregates) {
  private static final String PARTITION = "0";

  /** What devices run. */
  public BlobName clientPlan(TaskKey task) {
    return model(task, 0, "s/0/client_only_plan");
  }

  /** What the server runs. */
  public BlobName serverPlan(TaskKey task) {
    return model(task, 0, "s/0/server_phase");
  }

  /** The server's checkpoint of a result. */
  public BlobName checkpoint(TaskKey task, long result) {
    return model(task, result, "s/0/checkpoint");
  }

  /** The checkpoint of a result that devices download. */
  public BlobName clientCheckpoint(TaskKey task, long result) {
    return model(task, result, "d/0/client_checkpoint");
  }

  /** The metrics of a result, as a JSON object of numbers. */
  public BlobName metrics(TaskKey task, long result) {
    return model(task, result, "s/0/metrics");
  }

  /** The upload of one device. */
  public BlobName upload(TaskKey task, long result, String session) {
    return new BlobName(bucket(gradients), uploads(task, result) + "/" + session + "/gradient");
  }

  /** The bucket of plans, checkpoints and metrics. */
  public String modelBucket() {
    return bucket(models);
  }

  /** The bucket of device uploads. */
  public String uploadBucket() {
    return bucket(gradients);
  }

  /** The prefix of the uploads of a result, one folder a device. */
  public String uploads(TaskKey task, long result) {
    return task + "/" + result + "/d";
  }

  /** The aggregate of a batch. */
  public BlobName aggregate(TaskKey task, long result, long level, String batch) {
    return new BlobName(bucket(aggregates), aggregates(task, result, level) + "/" + batch + "/gradient");
  }

  /** The bucket of aggregates. */
  public String aggregateBucket() {
    return bucket(aggregates);
  }

  /** The prefix of the aggregates of a result, one folder a batch. */
  public String aggregates(TaskKey task, long result, long level) {
    return task + "/" + result + "/s/0/" + level;
  }

  /**
   * A plan, checkpoint or metrics that a message names.
   *
   * @throws IllegalArgumentException if it lies elsewhere, or is no name
   */
  public BlobName inModels(String bucket, String key) {
    return in(models, bucket, key);
  }

  /**
   * An upload of a device that a message names.
   *
   * @throws IllegalArgumentException if it lies elsewhere, or is no name
   */
  public BlobName inUploads(String bucket, String key) {
    return in(gradients, bucket, key);
  }

  /**
   * An aggregate that a message names.
   *
   * @throws IllegalArgumentException if it lies elsewhere, or is no name
   */
  public BlobName inAggregates(String bucket, String key) {
    return in(aggregates, bucket, key);
  }

  private static BlobName in(String template, String bucket, String key) {
    if (!bucket(template).equals(bucket)) {
      throw new IllegalArgumentException("expected a blob in the bucket " + bucket(template) + ", found one in another bucket");
    }
    return new BlobName(bucket, key);
  }

  private BlobName model(TaskKey task, long result, String rest) {
    return new BlobName(bucket(models), task + "/" + result + "/" + rest);
  }

  private static String bucket(String template) {
    return template.replace("%s", PARTITION);
  }
}

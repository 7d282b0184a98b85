package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement.api;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.InvalidRequestException;
import com.google.ondevicepersonalization.federatedcompute.proto.CheckPointSelector;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import com.google.protobuf.Timestamp;
import java.time.Instant;
import java.util.Optional;

/** Tasks of the protocol and tasks of the tables. */
final class TaskMessages {
  private static final String OLDEST = "0";
  private static final String NEWEST = "999999999999999999";
  private static final int LONGEST_CORRELATION = 256;

  // RFC 3339, as protobuf's Timestamp: years 1 to 9999.
  private static final long FIRST_SECOND = -62_135_596_800L;
  private static final long LAST_SECOND = 253_402_300_799L;

  private TaskMessages() {}

  /**
   * What a task is to be created with. What is not said gets a value: kind training with traffic weight 1, all client versions.
   *
   * @throws InvalidRequestException if a field cannot be
   */
  static Task.Settings settings(com.google.ondevicepersonalization.federatedcompute.proto.Task task) {
    notNegative("total_iteration", task.getTotalIteration());
    notNegative("max_parallel", task.getMaxParallel());
    if (task.getMinAggregationSize() < 1 || task.getMinAggregationSize() > task.getMaxAggregationSize()) {
      throw new InvalidRequestException(
          "expected 1 <= min_aggregation_size <= max_aggregation_size, found "
              + task.getMinAggregationSize() + " and " + task.getMaxAggregationSize());
    }
    if (task.getCorrelationId().length() > LONGEST_CORRELATION || task.getCorrelationId().indexOf('\0') >= 0) {
      throw new InvalidRequestException("correlation_id: expected at most " + LONGEST_CORRELATION + " characters without NUL");
    }
    return new Task.Settings(
        task.getTotalIteration(),
        task.getMinAggregationSize(),
        task.getMaxAggregationSize(),
        time("start_task_no_earlier_than", task.hasStartTaskNoEarlierThan(), task.getStartTaskNoEarlierThan()),
        time("do_not_create_iteration_after", task.hasDoNotCreateIterationAfter(), task.getDoNotCreateIterationAfter()),
        time("started_time", task.hasStartedTime(), task.getStartedTime()),
        time("stop_time", task.hasStopTime(), task.getStopTime()),
        task.getMaxParallel(),
        task.getCorrelationId(),
        versions(task),
        info(task.getInfo()));
  }

  /** The task as the protocol shows it, without the addresses of its blobs. */
  static com.google.ondevicepersonalization.federatedcompute.proto.Task message(Task task) {
    Task.Settings settings = task.settings();
    var message = com.google.ondevicepersonalization.federatedcompute.proto.Task.newBuilder()
        .setPopulationName(task.key().population())
        .setTaskId(task.key().task())
        .setTotalIteration(settings.totalIteration())
        .setMinAggregationSize(settings.minAggregationSize())
        .setMaxAggregationSize(settings.maxAggregationSize())
        .setStatus(status(task))
        .setCreatedTime(timestamp(task.createdTime()))
        .setMaxParallel(settings.maxParallel())
        .setCorrelationId(settings.correlationId())
        .setMinClientVersion(settings.clientVersions().min())
        .setMaxClientVersion(settings.clientVersions().max())
        .setInfo(settings.info());
    settings.startNoEarlierThan().ifPresent(time -> message.setStartTaskNoEarlierThan(timestamp(time)));
    settings.doNotCreateIterationAfter().ifPresent(time -> message.setDoNotCreateIterationAfter(timestamp(time)));
    settings.startTime().ifPresent(time -> message.setStartedTime(timestamp(time)));
    settings.stopTime().ifPresent(time -> message.setStopTime(timestamp(time)));
    return message.build();
  }

  private static TaskStatus.Enum status(Task task) {
    return switch (task.status()) {
      case OPEN -> TaskStatus.Enum.OPEN;
      case COMPLETED -> TaskStatus.Enum.COMPLETED;
      case CREATED -> TaskStatus.Enum.CREATED;
      case CANCELED -> TaskStatus.Enum.CANCELED;
      case FAILED -> TaskStatus.Enum.FAILED;
    };
  }

  private static ClientVersions versions(com.google.ondevicepersonalization.federatedcompute.proto.Task task) {
    String min = task.getMinClientVersion().isEmpty() ? OLDEST : task.getMinClientVersion();
    String max = task.getMaxClientVersion().isEmpty() ? NEWEST : task.getMaxClientVersion();
    try {
      return new ClientVersions(min, max);
    } catch (NumberFormatException malformed) {
      throw new InvalidRequestException("min_client_version, max_client_version: " + malformed.getMessage());
    }
  }

  private static TaskInfo info(TaskInfo info) {
    notNegative("traffic_weight", info.getTrafficWeight());
    return switch (info.getInfoCase()) {
      case TRAINING_INFO -> info;
      case EVALUATION_INFO -> evaluation(info);
      case INFO_NOT_SET -> info.toBuilder()
          .setTrafficWeight(info.getTrafficWeight() == 0 ? 1 : info.getTrafficWeight())
          .setTrainingInfo(TrainingInfo.getDefaultInstance())
          .build();
    };
  }

  private static TaskInfo evaluation(TaskInfo info) {
    EvaluationInfo evaluation = info.getEvaluationInfo();
    if (evaluation.getTrainingTaskId() < 1) {
      throw new InvalidRequestException("evaluation_info.training_task_id: expected 1 or more, found " + evaluation.getTrainingTaskId());
    }
    CheckPointSelector selector = evaluation.getCheckPointSelector();
    long every = switch (selector.getSelectorTypeCase()) {
      case ITERATION_SELECTOR -> selector.getIterationSelector().getSize();
      case DURATION_SELECTOR -> selector.getDurationSelector().getHours();
      case SELECTORTYPE_NOT_SET -> 0;
    };
    if (every < 1) {
      throw new InvalidRequestException(
          "evaluation_info.check_point_selector: expected an iteration_selector or duration_selector of 1 or more, found " + every);
    }
    return info;
  }

  private static void notNegative(String field, long value) {
    if (value < 0) {
      throw new InvalidRequestException(field + ": expected 0 or more, found " + value);
    }
  }

  private static Optional<Instant> time(String field, boolean present, Timestamp timestamp) {
    if (!present) {
      return Optional.empty();
    }
    boolean valid = timestamp.getSeconds() >= FIRST_SECOND
        && timestamp.getSeconds() <= LAST_SECOND
        && timestamp.getNanos() >= 0
        && timestamp.getNanos() < 1_000_000_000;
    if (!valid) {
      throw new InvalidRequestException(field + ": expected a time in the years 1 to 9999");
    }
    // What the tables keep.
    return Optional.of(Instant.ofEpochSecond(timestamp.getSeconds(), timestamp.getNanos() / 1000 * 1000));
  }

  private static Timestamp timestamp(Instant instant) {
    return Timestamp.newBuilder().setSeconds(instant.getEpochSecond()).setNanos(instant.getNano()).build();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.SignedUrl;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.CorrelationId;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.Names;
import com.google.internal.federatedcompute.v1.RejectionInfo;
import com.google.internal.federatedcompute.v1.RejectionReason;
import com.google.internal.federatedcompute.v1.Resource;
import com.google.internal.federatedcompute.v1.ResourceCompressionFormat;
import com.google.internal.federatedcompute.v1.RetryWindow;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.EligibilityTaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskAssignment;
import com.google.ondevicepersonalization.federatedcompute.proto.UploadInstruction;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Clock;
import java.time.Duration;
import java.util.Optional;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RestController;

/** What devices ask for: something to do, and where to put what came out. */
@RestController
@RequestMapping(produces = {"application/x-protobuf", "application/json"})
public final class AssignmentController {
  private static final String POPULATION = "/taskassignment/v1/population/{population}";
  private static final ResourceCompressionFormat GZIP = ResourceCompressionFormat.RESOURCE_COMPRESSION_FORMAT_GZIP;
  private static final RetryWindow SOON = window(Duration.ofMinutes(1), Duration.ofMinutes(5));
  private static final RetryWindow LATER = window(Duration.ofDays(1), Duration.ofDays(2));

  /**
   * How long URLs are good for.
   *
   * @param plan of the download of a plan
   * @param checkpoint of the download of a checkpoint
   * @param upload of the upload of a contribution
   */
  public record Lifetimes(Duration plan, Duration checkpoint, Duration upload) {}

  private final CheckIn checkIn;
  private final Iterations iterations;
  private final Assignments assignments;
  private final Blobs blobs;
  private final BlobLayout layout;
  private final Lifetimes lifetimes;
  private final MeterRegistry meters;
  private final Clock clock;

  public AssignmentController(
      CheckIn checkIn,
      Iterations iterations,
      Assignments assignments,
      Blobs blobs,
      BlobLayout layout,
      Lifetimes lifetimes,
      MeterRegistry meters,
      Clock clock) {
    this.checkIn = checkIn;
    this.iterations = iterations;
    this.assignments = assignments;
    this.blobs = blobs;
    this.layout = layout;
    this.lifetimes = lifetimes;
    this.meters = meters;
    this.clock = clock;
  }

  @PostMapping(POPULATION + ":create-task-assignment")
  ResponseEntity<CreateTaskAssignmentResponse> create(
      @PathVariable("population") String population, @RequestBody(required = false) CreateTaskAssignmentRequest request) {
    Timer.Sample sample = Timer.start(meters);
    Names.check("population", population);
    CheckIn.Result result = checkIn.checkIn(population, version(request), CorrelationId.current());
    if (result instanceof CheckIn.Result.Assigned assigned) {
      CreateTaskAssignmentResponse response =
          CreateTaskAssignmentResponse.newBuilder().setTaskAssignment(assignment(assigned.iteration(), assigned.key())).build();
      sample.stop(meters.timer("create-task-assignment", "population", population, "result", "CREATED"));
      return ResponseEntity.status(HttpStatus.CREATED).body(response);
    }
    CheckIn.Rejection reason = ((CheckIn.Result.Rejected) result).reason();
    RejectionInfo info = rejection(reason);
    // Anybody can ask for any population; only those that there are become names of metrics.
    String known = reason == CheckIn.Rejection.ITERATION_NOT_ACTIVE ? "none" : population;
    sample.stop(meters.timer("create-task-assignment", "population", known, "result", info.getReason().name()));
    return ResponseEntity.ok(CreateTaskAssignmentResponse.newBuilder().setRejectionInfo(info).build());
  }

  @PutMapping(POPULATION + "/task/{task}/aggregation/{aggregation}/task-assignment/{assignment}:report-result")
  ResponseEntity<ReportResultResponse> report(
      @PathVariable("population") String population,
      @PathVariable("task") String task,
      @PathVariable("aggregation") String aggregation,
      @PathVariable("assignment") String assignment,
      @RequestBody(required = false) ReportResultRequest request) {
    Timer.Sample sample = Timer.start(meters);
    IterationKey iteration = IterationKey.of(
        Names.check("population", population), Names.number("task", task), Names.number("aggregation", aggregation));
    AssignmentKey key = new AssignmentKey(iteration, Names.check("assignment", assignment));
    // A message with nothing but defaults has no bytes.
    ReportResultRequest.Result result = request == null ? ReportResultRequest.Result.UNKNOWN : request.getResult();
    Optional<AssignmentStatus> reported = status(result);
    boolean completed = reported.equals(Optional.of(AssignmentStatus.LOCAL_COMPLETED));
    Optional<Iteration> wanted =
        completed ? iterations.find(iteration).filter(found -> found.status() != IterationStatus.CANCELED) : Optional.empty();
    if (completed && wanted.isEmpty()) {
      return ResponseEntity.notFound().build();
    }
    // What is there now, whether this report or an earlier one brought it there.
    Optional<AssignmentStatus> status =
        reported.filter(now -> assignments.report(key, now, clock.instant())).or(() -> assignments.status(key));
    if (status.isEmpty() || completed && status.get() != AssignmentStatus.LOCAL_COMPLETED) {
      return ResponseEntity.notFound().build();
    }
    ReportResultResponse.Builder response = ReportResultResponse.newBuilder();
    wanted.ifPresent(found -> response.setUploadInstruction(upload(key, found)));
    sample.stop(meters.timer("report-result", "population", population, "result", result.name()));
    return ResponseEntity.ok(response.build());
  }

  private static String version(CreateTaskAssignmentRequest request) {
    return request == null ? "" : request.getClientVersion().getVersionCode();
  }

  private TaskAssignment assignment(Iteration iteration, AssignmentKey key) {
    TaskKey task = iteration.key().task();
    String name = "/population/" + task.population() + "/task/" + task.task();
    TaskAssignment.Builder assignment = TaskAssignment.newBuilder()
        .setPopulationName(task.population())
        .setTaskId(Long.toString(task.task()))
        .setAggregationId(Long.toString(iteration.key().iteration()))
        .setAssignmentId(key.session())
        .setTaskName(name)
        .setSelfUri(name + "/aggregation/" + iteration.key().iteration() + "/task-assignment/" + key.session())
        .setInitCheckpoint(resource(layout.clientCheckpoint(task, iteration.settings().baseOnResult()), lifetimes.checkpoint()))
        .setPlan(resource(layout.clientPlan(task), lifetimes.plan()));
    eligibility(iteration).ifPresent(assignment::setEligibilityTaskInfo);
    return assignment.build();
  }

  /** The policies of a training task, which the device judges; that of separation counts iterations. */
  private static Optional<EligibilityTaskInfo> eligibility(Iteration iteration) {
    if (!iteration.settings().info().getTaskInfo().getTrainingInfo().hasEligibilityTaskInfo()) {
      return Optional.empty();
    }
    EligibilityTaskInfo.Builder info =
        iteration.settings().info().getTaskInfo().getTrainingInfo().getEligibilityTaskInfo().toBuilder();
    info.getEligibilityPoliciesBuilderList().forEach(policy -> {
      if (policy.hasMinSepPolicy()) {
        policy.getMinSepPolicyBuilder().setCurrentIndex(iteration.key().iteration());
      }
    });
    return Optional.of(info.build());
  }

  private Resource resource(BlobName name, Duration lifetime) {
    return Resource.newBuilder().setUri(blobs.downloadUrl(name, lifetime).url().toString()).setCompressionFormat(GZIP).build();
  }

  private UploadInstruction upload(AssignmentKey key, Iteration iteration) {
    BlobName name = layout.upload(iteration.key().task(), iteration.settings().result(), key.session());
    SignedUrl url = blobs.uploadUrl(name, lifetimes.upload());
    return UploadInstruction.newBuilder()
        .setUploadLocation(url.url().toString())
        .putAllExtraRequestHeaders(url.headers())
        .setCompressionFormat(GZIP)
        .build();
  }

  private static Optional<AssignmentStatus> status(ReportResultRequest.Result result) {
    return switch (result) {
      case COMPLETED -> Optional.of(AssignmentStatus.LOCAL_COMPLETED);
      case FAILED -> Optional.of(AssignmentStatus.LOCAL_FAILED);
      case NOT_ELIGIBLE -> Optional.of(AssignmentStatus.LOCAL_NOT_ELIGIBLE);
      case FAILED_EXAMPLE_GENERATION -> Optional.of(AssignmentStatus.LOCAL_FAILED_EXAMPLE_GENERATION);
      case FAILED_MODEL_COMPUTATION -> Optional.of(AssignmentStatus.LOCAL_FAILED_MODEL_COMPUTATION);
      case FAILED_OPS_ERROR -> Optional.of(AssignmentStatus.LOCAL_FAILED_OPS_ERROR);
      case UNKNOWN, UNRECOGNIZED -> Optional.empty();
    };
  }

  private static RejectionInfo rejection(CheckIn.Rejection reason) {
    RejectionInfo.Builder info = RejectionInfo.newBuilder();
    return switch (reason) {
      case ITERATION_FULL, ITERATION_NOT_OPEN -> info.setReason(RejectionReason.Enum.NO_TASK_AVAILABLE).setRetryWindow(SOON).build();
      case CLIENT_VERSION_MISMATCH -> info.setReason(RejectionReason.Enum.CLIENT_VERSION_MISMATCH).setRetryWindow(LATER).build();
      case ITERATION_NOT_ACTIVE -> info.setReason(RejectionReason.Enum.NO_ACTIVE_TASK_EXISTS).setRetryWindow(LATER).build();
    };
  }

  private static RetryWindow window(Duration min, Duration max) {
    return RetryWindow.newBuilder()
        .setDelayMin(com.google.protobuf.Duration.newBuilder().setSeconds(min.toSeconds()))
        .setDelayMax(com.google.protobuf.Duration.newBuilder().setSeconds(max.toSeconds()))
        .build();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement.api;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ActiveTaskException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.Names;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.GetTaskByIdResponse;
import java.time.Clock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RestController;

/** Creates tasks, shows them and cancels them. */
@RestController
@RequestMapping(produces = {"application/x-protobuf", "application/json"})
public final class TaskController {
  private static final Logger LOG = LoggerFactory.getLogger(TaskController.class);
  private static final String POPULATION = "/taskmanagement/v1/population/{population}";

  private final Tasks tasks;
  private final Iterations iterations;
  private final BlobLayout layout;
  private final ArtifactUrls artifacts;
  private final Clock clock;

  public TaskController(Tasks tasks, Iterations iterations, BlobLayout layout, ArtifactUrls artifacts, Clock clock) {
    this.tasks = tasks;
    this.iterations = iterations;
    this.layout = layout;
    this.artifacts = artifacts;
    this.clock = clock;
  }

  @PostMapping(POPULATION + ":create-task")
  CreateTaskResponse create(@PathVariable("population") String population, @RequestBody(required = false) CreateTaskRequest request) {
    // A message with nothing but defaults has no bytes.
    Task.Settings settings = TaskMessages.settings((request == null ? CreateTaskRequest.getDefaultInstance() : request).getTask());
    Task created = tasks.create(Names.check("population", population), settings, clock.instant());
    LOG.info("created task {}", created.key());
    return CreateTaskResponse.newBuilder().setTask(message(created)).build();
  }

  @GetMapping(POPULATION + "/tasks/{task}:get")
  ResponseEntity<GetTaskByIdResponse> get(@PathVariable("population") String population, @PathVariable("task") String task) {
    TaskKey key = new TaskKey(Names.check("population", population), Names.number("task", task));
    return ResponseEntity.of(tasks.find(key).map(found -> GetTaskByIdResponse.newBuilder().setTask(message(found)).build()));
  }

  /**
   * Cancels a task that has not come to its end, such as one whose artifacts cannot be uploaded, and the iteration that it is in; again if it
   * was canceled before. Beyond the reference, whose client knows the path.
   */
  @PostMapping(POPULATION + "/tasks/{task}:cancel")
  ResponseEntity<GetTaskByIdResponse> cancel(@PathVariable("population") String population, @PathVariable("task") String task) {
    TaskKey key = new TaskKey(Names.check("population", population), Names.number("task", task));
    if (iterations.cancel(key, clock.instant())) {
      LOG.info("canceled task {}", key);
    }
    return tasks.find(key)
        .map(found -> ResponseEntity.status(found.status() == TaskStatus.CANCELED ? HttpStatus.OK : HttpStatus.CONFLICT)
            .body(GetTaskByIdResponse.newBuilder().setTask(message(found)).build()))
        .orElse(ResponseEntity.notFound().build());
  }

  /** Clients of the reference take whatever is not 200 for a failure. */
  @ExceptionHandler
  ProblemDetail conflict(ActiveTaskException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.CONFLICT, problem.getMessage());
  }

  private com.google.ondevicepersonalization.federatedcompute.proto.Task message(Task task) {
    TaskKey key = task.key();
    return TaskMessages.message(task).toBuilder()
        .addClientOnlyPlanUrl(artifacts.url(layout.clientPlan(key)))
        .addServerPhaseUrl(artifacts.url(layout.serverPlan(key)))
        .addInitCheckpointUrl(artifacts.url(layout.checkpoint(key, 0)))
        .addMetricsUrl(artifacts.url(layout.metrics(key, 0)))
        .build();
  }
}

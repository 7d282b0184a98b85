package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestDatabase;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Tasks, iterations and assignments on an adapter of the tables; its test extends this. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class TablesContract {
  private static final Instant NOW = Instant.parse("2026-01-02T03:04:05.678901Z");
  private static final ClientVersions ANY = new ClientVersions("0", "999999999");
  private static final TaskInfo TRAINING =
      TaskInfo.newBuilder().setTrafficWeight(7).setTrainingInfo(TrainingInfo.getDefaultInstance()).build();
  private static final TaskInfo EVALUATION =
      TaskInfo.newBuilder().setEvaluationInfo(EvaluationInfo.newBuilder().setTrainingTaskId(1)).build();

  @RegisterExtension final TestServer server;
  private TestDatabase tables;
  private Database database;
  private Tasks tasks;
  private Iterations iterations;
  private Assignments assignments;

  /** Holds the adapter of a server to it. */
  TablesContract(TestServer server) {
    this.server = server;
  }

  @BeforeEach
  void makeDatabase() {
    tables = server.newDatabase(Schema.TASKS::migrate);
    database = tables.database();
    tasks = new Tasks(database);
    iterations = new Iterations(database);
    assignments = new Assignments(database);
  }

  @AfterEach
  void close() {
    tables.close();
  }

  private static Task.Settings settings(TaskInfo info) {
    return new Task.Settings(
        3, 2, 4, Optional.of(NOW.plusSeconds(1)), Optional.of(NOW.plusSeconds(2)), Optional.empty(), Optional.of(NOW.plusSeconds(3)), 5,
        "correlation", ANY, info);
  }

  private static Iteration.Settings iteration(long maxAggregationSize) {
    return new Iteration.Settings(0, 0, 1, 2, maxAggregationSize, ANY, IterationInfo.newBuilder().setTaskInfo(TRAINING).build());
  }

  private Iteration collecting(long maxAggregationSize) {
    IterationKey key = new IterationKey(tasks.create("p", settings(TRAINING), NOW).key(), 1, 0);
    tasks.move(key.task(), TaskStatus.CREATED, TaskStatus.OPEN, NOW);
    assertThat(iterations.begin(key, iteration(maxAggregationSize), NOW)).isTrue();
    return iterations.find(key).orElseThrow();
  }

  private List<Long> column(String query, Map<String, ?> parameters) {
    return database.query(client -> client.sql(query).params(parameters).query(Long.class).list());
  }

  /** Runs the same thing for 0, 1, ... at the same time and returns what each returned. */
  private static <T> List<T> together(int count, Function<Integer, T> work) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(count);
    try {
      List<Callable<T>> calls = IntStream.range(0, count).mapToObj(i -> (Callable<T>) () -> work.apply(i)).toList();
      List<T> results = new ArrayList<>();
      for (Future<T> future : threads.invokeAll(calls)) {
        results.add(future.get());
      }
      return results;
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void taskIsFoundAsItWasCreated() {
    Task created = tasks.create("p", settings(TRAINING), NOW);
    assertThat(created.key()).isEqualTo(new TaskKey("p", 1));
    assertThat(created.status()).isEqualTo(TaskStatus.CREATED);
    assertThat(tasks.find(created.key())).contains(created);
    assertThat(tasks.find(new TaskKey("p", 2))).isEmpty();
    assertThat(tasks.find(new TaskKey("q", 1))).isEmpty();
  }

  @Test
  void tasksAreNumberedInEachPopulation() {
    assertThat(tasks.create("p", settings(TRAINING), NOW).key().task()).isEqualTo(1);
    assertThat(tasks.create("p", settings(EVALUATION), NOW).key().task()).isEqualTo(2);
    assertThat(tasks.create("q", settings(TRAINING), NOW).key().task()).isEqualTo(1);
  }

  @Test
  void populationHasOneActiveTaskOfAKind() {
    TaskKey first = tasks.create("p", settings(TRAINING), NOW).key();
    assertThatThrownBy(() -> tasks.create("p", settings(TRAINING), NOW))
        .isInstanceOf(ActiveTaskException.class)
        .hasMessage("population p has the active task 1 of the same kind");
    tasks.move(first, TaskStatus.CREATED, TaskStatus.OPEN, NOW);
    assertThatThrownBy(() -> tasks.create("p", settings(TRAINING), NOW)).isInstanceOf(ActiveTaskException.class);
    tasks.move(first, TaskStatus.OPEN, TaskStatus.COMPLETED, NOW);
    assertThat(tasks.create("p", settings(TRAINING), NOW).key().task()).isEqualTo(2);
  }

  @Test
  void ofTasksCreatedAtTheSameTimeOneIsLeft() throws Exception {
    List<Boolean> created = together(8, i -> {
      try {
        tasks.create("p", settings(TRAINING), NOW);
        return true;
      } catch (ActiveTaskException refused) {
        return false;
      }
    });
    assertThat(created).containsOnlyOnce(true);
    assertThat(column("SELECT task_id FROM task", Map.of())).containsExactly(1L);
  }

  @Test
  void taskMovesOnceAndHistoryHasEveryStep() throws Exception {
    TaskKey key = tasks.create("p", settings(TRAINING), NOW).key();
    assertThat(together(8, i -> tasks.move(key, TaskStatus.CREATED, TaskStatus.OPEN, NOW))).containsOnlyOnce(true);
    assertThat(tasks.move(key, TaskStatus.CREATED, TaskStatus.OPEN, NOW)).isFalse();
    assertThat(tasks.move(key, TaskStatus.OPEN, TaskStatus.FAILED, NOW)).isTrue();
    assertThat(column("SELECT status_id FROM task_status_history ORDER BY status_id", Map.of())).containsExactly(0L, 1L, 2L);
    assertThat(column("SELECT status FROM task_status_history ORDER BY status_id", Map.of())).containsExactly(2L, 0L, 102L);
  }

  @Test
  void tasksOfAStatusComeInOrderUpToALimit() {
    for (String population : List.of("b", "a", "c")) {
      tasks.create(population, settings(TRAINING), NOW);
    }
    assertThat(tasks.withStatus(TaskStatus.CREATED, 2)).extracting(task -> task.key().population()).containsExactly("a", "b");
    assertThat(tasks.withStatus(TaskStatus.OPEN, 2)).isEmpty();
  }

  @Test
  void firstIterationBeginsOnce() throws Exception {
    TaskKey task = tasks.create("p", settings(TRAINING), NOW).key();
    IterationKey key = new IterationKey(task, 1, 0);
    assertThat(together(8, i -> iterations.begin(key, iteration(40), NOW))).containsOnlyOnce(true);
    Iteration begun = iterations.find(key).orElseThrow();
    assertThat(begun).isEqualTo(new Iteration(key, IterationStatus.COLLECTING, 0, iteration(40)));
    assertThat(iterations.newest(task)).contains(begun);
    assertThat(iterations.active("p")).containsExactly(begun);
    assertThat(iterations.withStatus(IterationStatus.COLLECTING, 10)).containsExactly(begun);
  }

  @Test
  void iterationMovesFromWhereItWasReadOnly() throws Exception {
    Iteration read = collecting(4);
    assertThat(together(8, i -> iterations.move(read, IterationStatus.AGGREGATING, 1, NOW))).containsOnlyOnce(true);
    Iteration aggregating = iterations.find(read.key()).orElseThrow();
    assertThat(aggregating.status()).isEqualTo(IterationStatus.AGGREGATING);
    assertThat(iterations.move(aggregating, IterationStatus.COLLECTING, 0, NOW)).isTrue();
    assertThat(iterations.move(aggregating, IterationStatus.APPLYING, 2, NOW)).isFalse();
    assertThat(column("SELECT aggregation_level FROM iteration_status_history ORDER BY status_id", Map.of())).containsExactly(0L, 1L, 0L);
  }

  @Test
  void completedIterationIsFollowedByTheNextOrEndsTheTask() {
    Iteration first = collecting(4);
    assertThat(iterations.complete(first, Optional.of(iteration(4)), NOW)).isTrue();
    assertThat(iterations.complete(first, Optional.of(iteration(4)), NOW)).isFalse();
    Iteration second = iterations.newest(first.key().task()).orElseThrow();
    assertThat(second.key().iteration()).isEqualTo(2);
    assertThat(iterations.active("p")).containsExactly(second);
    assertThat(iterations.complete(second, Optional.empty(), NOW)).isTrue();
    assertThat(tasks.find(first.key().task()).orElseThrow().status()).isEqualTo(TaskStatus.COMPLETED);
    assertThat(iterations.active("p")).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(names = {"COLLECTING", "AGGREGATING", "APPLYING"})
  void canceledTaskEndsWithTheIterationThatItIsIn(IterationStatus status) throws Exception {
    Iteration first = collecting(4);
    if (status != IterationStatus.COLLECTING) {
      iterations.move(first, status, 1, NOW);
    }
    TaskKey task = first.key().task();
    assertThat(together(8, i -> iterations.cancel(task, NOW))).containsOnlyOnce(true);
    assertThat(tasks.find(task).orElseThrow().status()).isEqualTo(TaskStatus.CANCELED);
    assertThat(iterations.newest(task).orElseThrow().status()).isEqualTo(IterationStatus.CANCELED);
    assertThat(iterations.active("p")).isEmpty();
    assertThat(column("SELECT status FROM task_status_history ORDER BY status_id", Map.of())).containsExactly(2L, 0L, 101L);
    assertThat(column("SELECT status FROM iteration_status_history ORDER BY status_id", Map.of()))
        .startsWith(0L).endsWith(101L).hasSize(status == IterationStatus.COLLECTING ? 2 : 3);
    // It stays so.
    Iteration canceled = iterations.newest(task).orElseThrow();
    assertThat(iterations.begin(first.key(), iteration(4), NOW)).isFalse();
    assertThat(iterations.follow(canceled, iteration(4), NOW)).isFalse();
    assertThat(iterations.end(task, Optional.of(canceled), TaskStatus.FAILED, NOW)).isFalse();
    assertThat(iterations.complete(first, Optional.empty(), NOW)).isFalse();
    assertThat(iterations.find(first.key())).contains(canceled);
  }

  @Test
  void whatHasEndedIsNotCanceled() {
    Iteration first = collecting(4);
    iterations.complete(first, Optional.empty(), NOW);
    assertThat(iterations.cancel(first.key().task(), NOW)).isFalse();
    assertThat(tasks.find(first.key().task()).orElseThrow().status()).isEqualTo(TaskStatus.COMPLETED);
    assertThat(iterations.find(first.key()).orElseThrow().status()).isEqualTo(IterationStatus.COMPLETED);
    assertThat(iterations.cancel(new TaskKey("p", 9), NOW)).isFalse();
  }

  @Test
  void iterationsThatAreCompletedBeforeTheirTaskIsCanceledStayCompleted() {
    Iteration first = collecting(4);
    iterations.complete(first, Optional.of(iteration(4)), NOW);
    assertThat(iterations.cancel(first.key().task(), NOW)).isTrue();
    assertThat(iterations.find(first.key()).orElseThrow().status()).isEqualTo(IterationStatus.COMPLETED);
    assertThat(iterations.newest(first.key().task()).orElseThrow().status()).isEqualTo(IterationStatus.CANCELED);
    assertThat(iterations.completedSince(first.key().task(), NOW)).containsOnlyKeys(1L);
  }

  @Test
  void noIterationIsLeftToATaskThatIsCanceledWhileTheNextOneBegins() throws Exception {
    for (int round = 0; round < 20; round++) {
      Iteration first = collecting(4);
      TaskKey task = first.key().task();
      assertThat(together(4, i -> i == 0 ? iterations.cancel(task, NOW) : iterations.complete(first, Optional.of(iteration(4)), NOW)).get(0))
          .isTrue();
      assertThat(tasks.find(task).orElseThrow().status()).isEqualTo(TaskStatus.CANCELED);
      assertThat(iterations.newest(task).orElseThrow().status()).isEqualTo(IterationStatus.CANCELED);
      assertThat(iterations.active("p")).isEmpty();
    }
  }

  @Test
  void canceledIterationTakesNoMoreAssignments() {
    Iteration iteration = collecting(4);
    iterations.cancel(iteration.key().task(), NOW);
    assertThat(assignments.assign(new AssignmentKey(iteration.key(), "b"), "c", NOW)).isEqualTo(Assignments.Outcome.NOT_COLLECTING);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 16, 50})
  void neverMoreAssignmentsAreActiveThanTheIterationAllows(int max) throws Exception {
    IterationKey key = collecting(max).key();
    Map<Assignments.Outcome, Long> outcomes = together(64, i -> assignments.assign(new AssignmentKey(key, "s" + i), "c", NOW)).stream()
        .collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));
    assertThat(outcomes).isEqualTo(Map.of(Assignments.Outcome.ASSIGNED, (long) max, Assignments.Outcome.FULL, 64L - max));
    assertThat(column("SELECT COUNT(*) FROM assignment", Map.of())).containsExactly((long) max);
    assertThat(column("SELECT SUM(active) FROM assignment_slots", Map.of())).containsExactly((long) max);
  }

  @Test
  void failedAssignmentMakesRoom() {
    IterationKey key = collecting(1).key();
    AssignmentKey first = new AssignmentKey(key, "a");
    assertThat(assignments.assign(first, "c", NOW)).isEqualTo(Assignments.Outcome.ASSIGNED);
    assertThat(assignments.report(first, AssignmentStatus.LOCAL_FAILED, NOW)).isTrue();
    assertThat(assignments.assign(new AssignmentKey(key, "b"), "c", NOW)).isEqualTo(Assignments.Outcome.ASSIGNED);
    assertThat(assignments.assign(new AssignmentKey(key, "c"), "c", NOW)).isEqualTo(Assignments.Outcome.FULL);
  }

  @Test
  void reportCountsOnceHoweverOftenItComes() throws Exception {
    IterationKey iteration = collecting(2).key();
    AssignmentKey key = new AssignmentKey(iteration, "a");
    assignments.assign(key, "c", NOW);
    assertThat(together(8, i -> assignments.report(key, AssignmentStatus.LOCAL_COMPLETED, NOW))).containsOnlyOnce(true);
    assertThat(assignments.report(key, AssignmentStatus.LOCAL_FAILED, NOW)).isFalse();
    assertThat(assignments.status(key)).contains(AssignmentStatus.LOCAL_COMPLETED);
    assertThat(column("SELECT status FROM assignment_status_history ORDER BY status_id", Map.of())).containsExactly(0L, 1L);
    assertThat(column("SELECT SUM(active) FROM assignment_slots", Map.of())).containsExactly(1L);
    assertThat(assignments.status(new AssignmentKey(iteration, "unknown"))).isEmpty();
    assertThat(assignments.report(new AssignmentKey(iteration, "unknown"), AssignmentStatus.LOCAL_FAILED, NOW)).isFalse();
  }

  @Test
  void iterationThatDoesNotCollectAssignsNothing() {
    Iteration iteration = collecting(2);
    iterations.move(iteration, IterationStatus.AGGREGATING, 1, NOW);
    assertThat(assignments.assign(new AssignmentKey(iteration.key(), "a"), "c", NOW)).isEqualTo(Assignments.Outcome.NOT_COLLECTING);
    assertThat(column("SELECT SUM(active) FROM assignment_slots", Map.of())).containsExactly(0L);
    assertThat(assignments.assign(new AssignmentKey(IterationKey.of("p", 9, 9), "a"), "c", NOW))
        .isEqualTo(Assignments.Outcome.NOT_COLLECTING);
  }

  @Test
  void textOfAnyKindIsKept() {
    String hostile = "'; DROP TABLE task; -- \\ \u2028 \uD83D\uDE00";
    Task.Settings settings = new Task.Settings(
        1, 1, 1, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), 0, hostile, ANY, TRAINING);
    Task created = tasks.create(hostile, settings, NOW);
    assertThat(tasks.find(created.key())).contains(created);
    assertThat(Collections.singletonList(created)).isEqualTo(tasks.withStatus(TaskStatus.CREATED, 10));
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.benchmarks;

import com.google.internal.federatedcompute.v1.ClientVersion;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentResponse;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.ReportResultRequest;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskAssignment;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api.AssignmentController;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api.CheckIn;
import com.google.ondevicepersonalization.federatedcompute.shuffler.testing.TestService;
import com.google.protobuf.Message;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/**
 * Check-ins (create-task-assignment, then report-result) of devices at the same time, and how their cost grows with the assignments of an
 * iteration. What it measures and what it wants: benchmarks/README.md. Arguments: numbers of assignments, by default 1000 10000 100000
 * 1000000.
 */
public final class CheckIns implements AutoCloseable {
  private static final int[] DEVICES = {1, 16, 128};
  private static final int CHECK_INS = 4_000;
  private static final int ROUNDS = 3;
  private static final int GROWTH_CHECK_INS = 1_000;
  private static final double MOST_COST = 3;
  private static final double MOST_GROWTH = 2;
  private static final long SMALL = 10_000;
  private static final String POPULATION = "people";
  private static final String PATH = "/taskassignment/v1/population/" + POPULATION;
  private static final ClientVersions ANY = new ClientVersions("0", "9");

  /** One device's check-in. */
  @FunctionalInterface
  private interface Work {
    void run() throws Exception;
  }

  /** Seconds for each check-in, sorted, and for all. */
  private record Figures(double[] each, double all) {
    double rate() {
      return each.length / all;
    }

    double quantile(double part) {
      return each[(int) (part * (each.length - 1))];
    }
  }

  private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final Clock clock = Clock.systemUTC();
  private final TestService service;
  private final IterationKey iteration;

  private CheckIns(PrivatePostgres postgres) throws IOException {
    Duration minute = Duration.ofMinutes(1);
    service = new TestService(postgres, Files.createTempDirectory("benchmark"), clock, beans -> {
      TestService test = beans.service();
      beans.context().registerBean(AssignmentController.class, () -> new AssignmentController(
          new CheckIn(test.iterations, test.assignments, clock, new Random(1)),
          test.iterations,
          test.assignments,
          test.blobs,
          test.layout,
          new AssignmentController.Lifetimes(minute, minute, minute),
          new SimpleMeterRegistry(),
          clock));
    });
    TaskInfo training = TaskInfo.newBuilder().setTrafficWeight(1).setTrainingInfo(TrainingInfo.getDefaultInstance()).build();
    long many = 100_000_000;
    Optional<Instant> none = Optional.empty();
    TaskKey task = service.tasks
        .create(POPULATION, new Task.Settings(1, many, many, none, none, none, none, 0, "", ANY, training), clock.instant())
        .key();
    service.tasks.move(task, TaskStatus.CREATED, TaskStatus.OPEN, clock.instant());
    iteration = new IterationKey(task, 1, 0);
    IterationInfo info = IterationInfo.newBuilder().setTaskInfo(training).build();
    service.iterations.begin(iteration, new Iteration.Settings(0, 0, 1, many, many, ANY, info), clock.instant());
    service.database.<Integer>transact(sql ->
        sql.sql("CREATE TABLE plain (key varchar(64) PRIMARY KEY, status bigint NOT NULL, changed timestamptz NOT NULL)").update());
  }

  public static void main(String[] arguments) throws Exception {
    List<Long> sizes = arguments.length == 0
        ? List.of(1_000L, SMALL, 100_000L, 1_000_000L)
        : Stream.of(arguments).map(Long::valueOf).toList();
    boolean good = true;
    try (PrivatePostgres postgres = PrivatePostgres.start()) {
      try (CheckIns benchmark = new CheckIns(postgres)) {
        good &= benchmark.concurrent();
      }
      TreeMap<Long, Double> growth = new TreeMap<>();
      System.out.printf("%n%d check-ins, one device, by the tables alone: median, ms%nassignments   check-in%n", GROWTH_CHECK_INS);
      for (long size : sizes) {
        try (CheckIns benchmark = new CheckIns(postgres)) {
          growth.put(size, benchmark.median(size));
          System.out.printf("%11d %10.3f%n", size, growth.get(size) * 1e3);
          if (size == sizes.get(sizes.size() - 1)) {
            benchmark.explain();
          }
        }
      }
      long small = growth.containsKey(SMALL) ? SMALL : growth.firstKey();
      double factor = growth.lastEntry().getValue() / growth.get(small);
      System.out.printf("%ngrowth from %d to %d: %.2f (at most %.0f)%n", small, growth.lastKey(), factor, MOST_GROWTH);
      good &= factor <= MOST_GROWTH;
    }
    System.exit(good ? 0 : 1);
  }

  private boolean concurrent() throws Exception {
    System.out.printf("%d check-ins, the best of %d rounds%n", CHECK_INS, ROUNDS);
    System.out.println("devices                     a second   p50 ms   p99 ms   cost");
    boolean good = true;
    for (int devices : DEVICES) {
      // To warm up.
      run(devices, this::plain);
      run(devices, this::tables);
      run(devices, this::http);
      Figures plain = null;
      Figures tables = null;
      Figures http = null;
      for (int round = 0; round < ROUNDS; round++) {
        plain = better(plain, run(devices, this::plain));
        tables = better(tables, run(devices, this::tables));
        http = better(http, run(devices, this::http));
      }
      double cost = plain.rate() / tables.rate();
      print(devices, "INSERT, UPDATE", plain, 1);
      print(devices, "tables", tables, cost);
      print(devices, "HTTP", http, plain.rate() / http.rate());
      good &= cost <= MOST_COST;
    }
    System.out.printf("cost of the tables: at most %.0f%n", MOST_COST);
    return good;
  }

  private static Figures better(Figures one, Figures other) {
    return one == null || other.all() < one.all() ? other : one;
  }

  private static void print(int devices, String what, Figures figures, double cost) {
    System.out.printf("%7d   %-14s %10.0f %8.2f %8.2f %6.2f%n",
        devices, what, figures.rate(), figures.quantile(0.5) * 1e3, figures.quantile(0.99) * 1e3, cost);
  }

  private static Figures run(int devices, Work work) throws Exception {
    double[] each = new double[CHECK_INS];
    AtomicInteger next = new AtomicInteger();
    ExecutorService threads = Executors.newFixedThreadPool(devices);
    List<Callable<Void>> all = new ArrayList<>();
    for (int device = 0; device < devices; device++) {
      all.add(() -> {
        for (int i = next.getAndIncrement(); i < CHECK_INS; i = next.getAndIncrement()) {
          each[i] = seconds(work);
        }
        return null;
      });
    }
    long start = System.nanoTime();
    for (Future<Void> done : threads.invokeAll(all)) {
      done.get();
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    threads.shutdown();
    Arrays.sort(each);
    return new Figures(each, seconds);
  }

  private static double seconds(Work work) throws Exception {
    long start = System.nanoTime();
    work.run();
    return (System.nanoTime() - start) / 1e9;
  }

  /** What is least: a row, and a change of it. */
  private void plain() {
    String key = UUID.randomUUID().toString();
    OffsetDateTime now = clock.instant().atOffset(ZoneOffset.UTC);
    service.database.<Integer>transact(sql -> sql.sql("INSERT INTO plain (key, status, changed) VALUES (:key, 0, :now)")
        .param("key", key)
        .param("now", now)
        .update());
    service.database.<Integer>transact(sql -> sql.sql("UPDATE plain SET status = 1, changed = :now WHERE key = :key AND status = 0")
        .param("key", key)
        .param("now", now)
        .update());
  }

  private void tables() {
    AssignmentKey key = new AssignmentKey(iteration, UUID.randomUUID().toString());
    require(service.assignments.assign(key, "", clock.instant()) == Assignments.Outcome.ASSIGNED);
    require(service.assignments.report(key, AssignmentStatus.LOCAL_COMPLETED, clock.instant()));
  }

  private void http() throws IOException, InterruptedException {
    HttpResponse<byte[]> created = send("POST", PATH + ":create-task-assignment",
        CreateTaskAssignmentRequest.newBuilder().setClientVersion(ClientVersion.newBuilder().setVersionCode("5")).build());
    require(created.statusCode() == 201);
    TaskAssignment assignment = CreateTaskAssignmentResponse.parseFrom(created.body()).getTaskAssignment();
    HttpResponse<byte[]> reported = send(
        "PUT",
        PATH + "/task/" + assignment.getTaskId() + "/aggregation/" + assignment.getAggregationId() + "/task-assignment/"
            + assignment.getAssignmentId() + ":report-result",
        ReportResultRequest.newBuilder().setResult(ReportResultRequest.Result.COMPLETED).build());
    require(reported.statusCode() == 200);
  }

  private HttpResponse<byte[]> send(String method, String path, Message body) throws IOException, InterruptedException {
    HttpRequest request = HttpRequest.newBuilder(service.address(path))
        .method(method, HttpRequest.BodyPublishers.ofByteArray(body.toByteArray()))
        .header("Content-Type", "application/x-protobuf")
        .header("Accept", "application/x-protobuf")
        .build();
    return client.send(request, HttpResponse.BodyHandlers.ofByteArray());
  }

  private static void require(boolean right) {
    if (!right) {
      throw new IllegalStateException("a check-in failed");
    }
  }

  /** Of an iteration with so many assignments, seconds. */
  private double median(long size) throws Exception {
    service.database.<Integer>transact(sql -> {
      // Without looking up each foreign key: the rows are right.
      sql.sql("SET LOCAL session_replication_role = replica").update();
      sql.sql("SET LOCAL statement_timeout = 0").update();
      sql.sql("""
          INSERT INTO assignment (population_name, task_id, iteration_id, attempt_id, session_id, correlation_id, status, created_time,
              status_time, shard)
          SELECT :population, :task, 1, 0, CAST(gen_random_uuid() AS varchar), '', n % 3, now(), now(), n % 16
          FROM generate_series(1, :size) AS n
          """).param("population", POPULATION).param("task", iteration.task().task()).param("size", size).update();
      return sql.sql("""
          INSERT INTO assignment_status_history
          SELECT population_name, task_id, iteration_id, attempt_id, session_id, number, number - 1, NULL, status_time
          FROM assignment, generate_series(1, status + 1) AS number
          """).update();
    });
    // As the server does by itself, but not beside what is measured.
    try (Connection connection = DriverManager.getConnection(service.databaseUrl, "test", "");
        Statement statement = connection.createStatement()) {
      statement.execute("VACUUM ANALYZE");
      statement.execute("CHECKPOINT");
    }
    double[] each = new double[GROWTH_CHECK_INS];
    for (int round = 0; round < 2; round++) {
      for (int i = 0; i < each.length; i++) {
        each[i] = seconds(this::tables);
      }
    }
    Arrays.sort(each);
    return each[each.length / 2];
  }

  /** The plans of what finds rows. */
  private void explain() {
    String of = "population_name = 'people' AND task_id = 1 AND iteration_id = 1 AND attempt_id = 0";
    for (String statement : List.of(
        "SELECT * FROM iteration WHERE population_name = 'people' AND status IN (0, 1, 4) ORDER BY task_id, iteration_id, attempt_id",
        "SELECT shard FROM assignment_slots WHERE active < capacity AND " + of,
        "UPDATE assignment_slots SET active = active + 1 WHERE active < capacity AND shard = 3 AND " + of,
        "UPDATE assignment SET status = 1, status_time = now() WHERE status = 0 AND " + of + " AND session_id = 's' RETURNING shard")) {
      System.out.println("\n" + statement);
      service.database
          .query(sql -> sql.sql("EXPLAIN (COSTS OFF) " + statement).query(String.class).list())
          .forEach(line -> System.out.println("    " + line));
    }
  }

  @Override
  public void close() {
    service.close();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.benchmarks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Aggregating;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Collecting;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Collector;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.CollectorSettings;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Presence;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Timeouts;
import com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes.Transitions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.FileBlobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.LocalUrls;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Message;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.MessageHandler;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.NotificationEndpoint;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Subscription;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Postgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ClientVersions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Tasks;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TaskInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.TrainingInfo;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import javax.sql.DataSource;

/**
 * How the cost of a collector's pass grows with the assignments that an iteration has had, if the number of new uploads stays the same. What
 * it measures and what it wants: benchmarks/README.md. Arguments: numbers of assignments, by default 1000 10000 100000 1000000.
 */
public final class CollectorPass implements AutoCloseable {
  private static final int ROUNDS = 21;
  private static final int NEW_UPLOADS = 50;
  private static final int BATCH = 50;
  private static final double MOST_GROWTH = 2;
  private static final long SMALL = 10_000;

  /** Medians, in seconds. */
  private record Figures(double withUploads, double idle) {}

  private static final class Unread implements Messages {
    @Override
    public void publish(String topic, Message message) {}

    @Override
    public Subscription subscribe(String subscription, int maxOutstanding, MessageHandler handler) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void checkSubscription(String subscription) {}

    @Override
    public void checkTopic(String topic) {}
  }

  private final HikariDataSource source;
  private final Set<String> statements = Collections.synchronizedSet(new LinkedHashSet<>());
  private final Database database;
  private final Iterations iterations;
  private final Assignments assignments;
  private final Batches batches;
  private final Blobs blobs;
  private final BlobLayout layout = new BlobLayout("fcp-test-m-%s", "fcp-test-g-%s", "fcp-test-a-%s");
  private final Presence presence;
  private final Locks locks;
  private final Collector collector;

  private CollectorPass(PrivatePostgres postgres, Path folder) {
    Clock clock = Clock.systemUTC();
    source = Postgres.connect(postgres.newDatabase(), "test", "");
    Schema.TASKS.migrate(source);
    database = new Database(recorded(source));
    iterations = new Iterations(database);
    assignments = new Assignments(database);
    batches = new Batches(database);
    blobs = new FileBlobs(folder, new LocalUrls(URI.create("http://localhost"), new byte[32], clock), 1 << 20);
    presence = new Presence(blobs);
    locks = new Locks(database);
    CollectorSettings settings =
        new CollectorSettings(BATCH, Optional.empty(), Duration.ofMinutes(15), Duration.ofMinutes(15), "a", "m", new NotificationEndpoint("p", "n"));
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Transitions transitions = new Transitions(iterations, assignments, batches, settings, meters, clock);
    collector = new Collector(
        iterations,
        new Collecting(assignments, batches, transitions, presence, layout, new Unread(), settings),
        new Aggregating(batches, transitions, presence, layout, new Unread(), settings),
        new Timeouts(assignments, transitions, presence, layout, settings, clock),
        locks,
        meters,
        clock);
  }

  public static void main(String[] arguments) throws Exception {
    List<Long> sizes = arguments.length == 0
        ? List.of(1_000L, SMALL, 100_000L, 1_000_000L)
        : Stream.of(arguments).map(Long::valueOf).toList();
    System.out.printf("%d new uploads a pass; medians of %d, ms%n", NEW_UPLOADS, ROUNDS);
    System.out.println("assignments   pass   idle pass");
    TreeMap<Long, Figures> all = new TreeMap<>();
    try (PrivatePostgres postgres = PrivatePostgres.start()) {
      for (long size : sizes) {
        Path folder = Files.createTempDirectory("benchmark");
        try (CollectorPass benchmark = new CollectorPass(postgres, folder)) {
          Figures figures = benchmark.measure(size);
          all.put(size, figures);
          System.out.printf("%11d %6.1f %11.1f%n", size, figures.withUploads() * 1e3, figures.idle() * 1e3);
          if (size == sizes.get(sizes.size() - 1)) {
            benchmark.explain();
          }
        }
      }
    }
    long small = all.containsKey(SMALL) ? SMALL : all.firstKey();
    long large = all.lastKey();
    double growth = all.get(large).withUploads() / all.get(small).withUploads();
    double idleGrowth = all.get(large).idle() / all.get(small).idle();
    System.out.printf("%ngrowth from %d to %d: %.2f (at most %.0f); of a pass without new uploads %.2f%n",
        small, large, growth, MOST_GROWTH, idleGrowth);
    System.exit(growth <= MOST_GROWTH ? 0 : 1);
  }

  /** An iteration far from its goal, in the states that a long one has: mostly batched, a tenth late, a hundred under way of each kind. */
  private Iteration fill(long size) {
    TaskInfo training = TaskInfo.newBuilder().setTrainingInfo(TrainingInfo.getDefaultInstance()).build();
    ClientVersions any = new ClientVersions("0", "9");
    long goal = 100 * size;
    Optional<Instant> none = Optional.empty();
    TaskKey task = new Tasks(database)
        .create("p", new Task.Settings(1, goal, goal, none, none, none, none, 0, "", any, training), Clock.systemUTC().instant())
        .key();
    new Tasks(database).move(task, TaskStatus.CREATED, TaskStatus.OPEN, Clock.systemUTC().instant());
    IterationKey key = new IterationKey(task, 1, 0);
    IterationInfo info = IterationInfo.newBuilder().setTaskInfo(training).build();
    iterations.begin(key, new Iteration.Settings(0, 0, 1, goal, goal, any, info), Clock.systemUTC().instant());
    database.<Integer>transact(client -> {
      // Without looking up each foreign key: the rows are right.
      client.sql("SET LOCAL session_replication_role = replica").update();
      client.sql("SET LOCAL statement_timeout = 0").update();
      client.sql("""
          INSERT INTO assignment (population_name, task_id, iteration_id, attempt_id, session_id, correlation_id, status, created_time,
              status_time, shard, batch_id)
          SELECT 'p', :task, 1, 0, CAST(gen_random_uuid() AS varchar), '', CASE WHEN n <= 100 THEN 0 WHEN n <= 200 THEN 1
              WHEN n % 10 = 0 THEN 152 ELSE 2 END, now(), now(), n % 16, CASE WHEN n > 200 AND n % 10 <> 0 THEN 'batch-' || n / :batch END
          FROM generate_series(1, :size) AS n
          """).param("task", task.task()).param("batch", BATCH).param("size", size).update();
      client.sql("""
          INSERT INTO assignment_status_history
          SELECT population_name, task_id, iteration_id, attempt_id, session_id, number, CASE number WHEN 3 THEN status ELSE number - 1 END,
              batch_id, status_time
          FROM assignment, generate_series(1, CASE WHEN status = 0 THEN 1 WHEN status = 1 THEN 2 ELSE 3 END) AS number
          """).update();
      return client.sql("""
          INSERT INTO aggregation_batch (population_name, task_id, iteration_id, attempt_id, batch_id, aggregation_level, status, batch_size,
              created_by_partition, created_time)
          SELECT population_name, task_id, iteration_id, attempt_id, batch_id, 0, 2, COUNT(*), '1', now()
          FROM assignment WHERE batch_id IS NOT NULL GROUP BY population_name, task_id, iteration_id, attempt_id, batch_id
          """).update();
    });
    try (Connection connection = source.getConnection(); Statement statement = connection.createStatement()) {
      statement.execute("SET statement_timeout = 0");
      statement.execute("VACUUM ANALYZE");
    } catch (SQLException problem) {
      throw new IllegalStateException(problem);
    }
    return iterations.find(key).orElseThrow();
  }

  private Figures measure(long size) {
    Iteration iteration = fill(size);
    List<Double> passes = new ArrayList<>();
    List<Double> idle = new ArrayList<>();
    for (int round = 0; round < ROUNDS; round++) {
      for (int i = 0; i < NEW_UPLOADS; i++) {
        AssignmentKey device = new AssignmentKey(iteration.key(), UUID.randomUUID().toString());
        assignments.assign(device, "", Clock.systemUTC().instant());
        assignments.report(device, AssignmentStatus.LOCAL_COMPLETED, Clock.systemUTC().instant());
        blobs.write(layout.upload(iteration.key().task(), 1, device.session()), new byte[] {1});
      }
      statements.clear();
      passes.add(seconds());
      idle.add(seconds());
    }
    return new Figures(median(passes), median(idle));
  }

  private double seconds() {
    long start = System.nanoTime();
    collector.pass();
    return (System.nanoTime() - start) / 1e9;
  }

  /** The plans of the last pass' statements, for any parameters. */
  private void explain() throws SQLException {
    // The extended protocol would ask for the parameters.
    String simple = source.getJdbcUrl() + "?preferQueryMode=simple";
    try (Connection connection = DriverManager.getConnection(simple, source.getUsername(), ""); Statement plain = connection.createStatement()) {
      for (String statement : statements) {
        String numbered = statement;
        for (int number = 1; numbered.contains("?"); number++) {
          numbered = numbered.replaceFirst("\\?", "\\$" + number);
        }
        System.out.println("\n" + shown(numbered));
        try (ResultSet rows = plain.executeQuery("EXPLAIN (GENERIC_PLAN, COSTS OFF) " + numbered)) {
          while (rows.next()) {
            System.out.println("    " + rows.getString(1).replaceAll("(, \\$[0-9]+){20,}", ", ..."));
          }
        }
      }
    }
  }

  /** Without the many parameters of a list. */
  private static String shown(String text) {
    return text.strip().replaceAll("\\s+", " ").replaceAll("(, \\$[0-9]+){20,}", ", ...");
  }

  /** Connections that write down what they prepare. */
  private DataSource recorded(DataSource real) {
    return proxy(DataSource.class, real, result ->
        result instanceof Connection connection ? proxy(Connection.class, connection, same -> same) : result);
  }

  private <T> T proxy(Class<T> type, T real, UnaryOperator<Object> wrap) {
    return type.cast(Proxy.newProxyInstance(CollectorPass.class.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
      if (method.getName().equals("prepareStatement")) {
        statements.add((String) arguments[0]);
      }
      try {
        return wrap.apply(method.invoke(real, arguments));
      } catch (InvocationTargetException thrown) {
        throw thrown.getCause();
      }
    }));
  }

  private static double median(List<Double> values) {
    return values.stream().sorted().skip(values.size() / 2).findFirst().orElseThrow();
  }

  @Override
  public void close() {
    presence.close();
    locks.close();
    source.close();
  }
}

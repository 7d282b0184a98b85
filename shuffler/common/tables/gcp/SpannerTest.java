package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.cloud.spanner.Dialect;
import com.google.cloud.spanner.MockSpannerServiceImpl;
import com.google.cloud.spanner.MockSpannerServiceImpl.SimulatedExecutionTime;
import com.google.cloud.spanner.MockSpannerServiceImpl.StatementResult;
import com.google.cloud.spanner.Statement;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks.Locks;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ModelMetrics;
import com.google.protobuf.ListValue;
import com.google.protobuf.Value;
import com.google.spanner.v1.BeginTransactionRequest;
import com.google.spanner.v1.CommitRequest;
import com.google.spanner.v1.ExecuteSqlRequest;
import com.google.spanner.v1.ResultSet;
import com.google.spanner.v1.ResultSetMetadata;
import com.google.spanner.v1.ResultSetStats;
import com.google.spanner.v1.RollbackRequest;
import com.google.spanner.v1.StructType;
import com.google.spanner.v1.Type;
import com.google.spanner.v1.TypeCode;
import com.zaxxer.hikari.HikariDataSource;
import io.grpc.Server;
import io.grpc.ServerBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.dao.CannotAcquireLockException;
import org.springframework.dao.DataAccessException;
import org.springframework.dao.DataIntegrityViolationException;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.dao.InvalidDataAccessResourceUsageException;
import org.springframework.dao.QueryTimeoutException;
import org.springframework.jdbc.UncategorizedSQLException;

/** What goes to Spanner and what comes of its errors, against the client library's mock server. SQL itself: the suites over the tables. */
class SpannerTest {
  private static final Duration LONG = Duration.ofMinutes(1);
  private static final Duration SHORT = Duration.ofMillis(500);
  private static final String DATABASE = "projects/p/instances/i/databases/d";
  private static final String UPDATE = "UPDATE t SET n = 1 WHERE k = $1";
  private static final String SELECT = "SELECT n FROM t";
  private static final AssignmentKey KEY = new AssignmentKey(IterationKey.of("people", 1, 2), "session");

  private static MockSpannerServiceImpl spanner;
  private static Server server;
  private static HikariDataSource source;
  private static HikariDataSource impatient;
  private static Database database;

  @BeforeAll
  static void start() throws IOException {
    spanner = new MockSpannerServiceImpl();
    spanner.setAbortProbability(0);
    spanner.putStatementResult(StatementResult.detectDialectResult(Dialect.POSTGRESQL));
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(UPDATE), 1));
    spanner.putPartialStatementResult(StatementResult.query(Statement.of(SELECT), rows("n", TypeCode.INT64, "7")));
    server = ServerBuilder.forPort(0).addService(spanner).build().start();
    source = SpannerServer.connect(server.getPort(), DATABASE, LONG);
    impatient = SpannerServer.connect(server.getPort(), DATABASE, SHORT);
    database = new Database(source, new SpannerErrors());
  }

  @AfterAll
  static void stop() throws InterruptedException {
    source.close();
    impatient.close();
    server.shutdownNow().awaitTermination();
  }

  @BeforeEach
  void forget() {
    spanner.removeAllExecutionTimes();
    spanner.clearRequests();
  }

  private static ResultSet rows(String column, TypeCode type, String... values) {
    ResultSet.Builder rows = ResultSet.newBuilder()
        .setMetadata(ResultSetMetadata.newBuilder()
            .setRowType(StructType.newBuilder()
                .addFields(StructType.Field.newBuilder().setName(column).setType(Type.newBuilder().setCode(type)))));
    for (String value : values) {
      rows.addRows(ListValue.newBuilder().addValues(Value.newBuilder().setStringValue(value)));
    }
    return rows.build();
  }

  private int update() {
    return database.transact(client -> client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update());
  }

  private List<ExecuteSqlRequest> statements() {
    return spanner.getRequestsOfType(ExecuteSqlRequest.class);
  }

  private static SimulatedExecutionTime once(Status status) {
    return SimulatedExecutionTime.ofException(status.withDescription("the test says so").asRuntimeException());
  }

  private static SimulatedExecutionTime always(Status status) {
    return SimulatedExecutionTime.ofStickyException(status.withDescription("the test says so").asRuntimeException());
  }

  private static StatusRuntimeException aborted() {
    return Status.ABORTED.withDescription("the test says so").asRuntimeException();
  }

  @Test
  void queriesAreReadOnlyAndOneRequest() {
    assertThat(database.<Long>query(client -> client.sql(SELECT).query(Long.class).single())).isEqualTo(7);
    // Spanner's default is to read the newest state, outside of transactions.
    assertThat(statements()).singleElement().matches(one -> !one.getTransaction().hasBegin() && !one.getTransaction().hasId());
    assertThat(spanner.countRequestsOfType(BeginTransactionRequest.class)).isZero();
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isZero();
  }

  @Test
  void writesAreOneTransactionThatBeginsWithItsFirstStatement() {
    database.<Integer>transact(client -> client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update()
        + client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 4L).update());
    assertThat(spanner.countRequestsOfType(BeginTransactionRequest.class)).isZero();
    assertThat(statements()).hasSize(2);
    assertThat(statements().get(0).getTransaction().getBegin().hasReadWrite()).isTrue();
    assertThat(statements().get(1).getTransaction().getId().isEmpty()).isFalse();
    assertThat(statements().get(0).getSql()).isEqualTo(UPDATE);
    assertThat(statements().get(0).getParamTypesOrThrow("p1").getCode()).isEqualTo(TypeCode.INT64);
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isEqualTo(1);
  }

  @Test
  void workThatFailsIsRolledBack() {
    assertThatThrownBy(() -> database.transact(client -> {
      client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update();
      throw new IllegalStateException("no");
    })).hasMessage("no");
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isZero();
    assertThat(spanner.countRequestsOfType(RollbackRequest.class)).isEqualTo(1);
  }

  @Test
  void workThatLostAtAStatementRunsAgain() {
    spanner.setExecuteSqlExecutionTime(SimulatedExecutionTime.ofException(aborted()));
    assertThat(update()).isEqualTo(1);
    assertThat(statements()).hasSize(2).allMatch(statement -> statement.getTransaction().getBegin().hasReadWrite());
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isEqualTo(1);
  }

  @Test
  void workThatLostAtItsCommitRunsAgain() {
    spanner.setCommitExecutionTime(SimulatedExecutionTime.ofException(aborted()));
    AtomicInteger runs = new AtomicInteger();
    database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update();
    });
    assertThat(runs).hasValue(2);
    assertThat(statements()).hasSize(2);
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isEqualTo(2);
  }

  @Test
  void workThatAlwaysLosesEndsInOneError() {
    spanner.setExecuteStreamingSqlExecutionTime(SimulatedExecutionTime.ofStickyException(aborted()));
    spanner.setExecuteSqlExecutionTime(SimulatedExecutionTime.ofStickyException(aborted()));
    assertThatThrownBy(this::update).isInstanceOf(CannotAcquireLockException.class).hasMessageContaining("ABORTED");
    assertThat(statements()).hasSize(12);
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isZero();
  }

  @Test
  void whatIsUnavailableForAMomentIsRepeatedByTheClientLibrary() {
    AtomicInteger runs = new AtomicInteger();
    spanner.setExecuteSqlExecutionTime(once(Status.UNAVAILABLE));
    spanner.setCommitExecutionTime(once(Status.UNAVAILABLE));
    database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update();
    });
    assertThat(runs).hasValue(1);
    List<CommitRequest> commits = spanner.getRequestsOfType(CommitRequest.class);
    // Of one transaction: Spanner commits it once.
    assertThat(commits).hasSize(2);
    assertThat(commits.get(0).getTransactionId()).isEqualTo(commits.get(1).getTransactionId());
  }

  @Test
  void commitWhoseOutcomeIsUnknownIsNotRunAgain() {
    Database impatiently = new Database(impatient, new SpannerErrors());
    AtomicInteger runs = new AtomicInteger();
    try {
      assertThatThrownBy(() -> impatiently.<Integer>transact(client -> {
        runs.incrementAndGet();
        int updated = client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update();
        spanner.freeze();
        return updated;
      })).isInstanceOf(QueryTimeoutException.class).hasMessageContaining("DEADLINE_EXCEEDED");
    } finally {
      spanner.unfreeze();
    }
    assertThat(runs).hasValue(1);
  }

  @Test
  void silenceEndsWithTheStatementTimeout() {
    Database impatiently = new Database(impatient, new SpannerErrors());
    spanner.freeze();
    try {
      assertThatThrownBy(() -> impatiently.<Integer>transact(client ->
          client.sql("UPDATE t SET n = 1 WHERE k = :k").param("k", 3L).update()))
          .isInstanceOf(QueryTimeoutException.class)
          .hasMessageContaining("DEADLINE_EXCEEDED");
      assertThatThrownBy(() -> impatiently.<Long>query(client -> client.sql(SELECT).query(Long.class).single()))
          .isInstanceOf(QueryTimeoutException.class);
    } finally {
      spanner.unfreeze();
    }
    assertThat(update()).isEqualTo(1);
  }

  @Test
  void errorsHaveSpringsNames() {
    assertThat(errorOf(Status.ALREADY_EXISTS)).isInstanceOf(DuplicateKeyException.class);
    assertThat(errorOf(Status.FAILED_PRECONDITION))
        .isInstanceOf(DataIntegrityViolationException.class)
        .isNotInstanceOf(DuplicateKeyException.class);
    assertThat(errorOf(Status.INVALID_ARGUMENT)).isInstanceOf(InvalidDataAccessResourceUsageException.class);
    assertThat(errorOf(Status.PERMISSION_DENIED)).isInstanceOf(UncategorizedSQLException.class).hasMessageContaining("PERMISSION_DENIED");
  }

  private Throwable errorOf(Status status) {
    spanner.setExecuteSqlExecutionTime(always(status));
    try {
      update();
    } catch (DataAccessException problem) {
      assertThat(problem).hasMessageContaining(status.getCode().name());
      return problem;
    }
    throw new AssertionError("no error of " + status.getCode());
  }

  @Test
  void checkInsAreStatementsThatSpannerHas() {
    String slots = "assignment_slots";
    String of = "population_name = $%d AND task_id = $%d AND iteration_id = $%d AND attempt_id = $%d";
    String free = "SELECT shard FROM " + slots + " WHERE active < capacity AND " + of.formatted(1, 2, 3, 4);
    String take = "UPDATE " + slots + " SET active = active + 1 WHERE active < capacity AND shard = $1 AND " + of.formatted(2, 3, 4, 5);
    String report = "UPDATE assignment SET status = $1, status_time = $2 WHERE status = $3 AND " + of.formatted(4, 5, 6, 7)
        + " AND session_id = $8 RETURNING shard";
    String history = "INSERT INTO assignment_status_history (population_name, task_id, iteration_id, attempt_id, session_id, status_id,"
        + " status, created_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    String insert = """
        INSERT INTO assignment (population_name, task_id, iteration_id, attempt_id, session_id, correlation_id, status, created_time,
            status_time, shard)
        SELECT population_name, task_id, iteration_id, attempt_id, $1, $2, $3, CAST($4 AS timestamptz),
            CAST($5 AS timestamptz), $6
        FROM iteration WHERE status = $7 AND\s""" + of.formatted(8, 9, 10, 11);
    spanner.putPartialStatementResult(StatementResult.query(Statement.of(free), rows("shard", TypeCode.INT64)));
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(take), 1));
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(insert), 1));
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(history), 1));
    ResultSet returned = rows("shard", TypeCode.INT64, "5");
    spanner.putPartialStatementResult(StatementResult.updateReturning(
        Statement.of(report), returned.toBuilder().setStats(ResultSetStats.newBuilder().setRowCountExact(1)).build()));
    Assignments assignments = new Assignments(database);

    assertThat(assignments.assign(KEY, "correlation", Instant.EPOCH)).isEqualTo(Assignments.Outcome.ASSIGNED);
    assertThat(statements()).extracting(ExecuteSqlRequest::getSql).containsExactly(insert, history, take);
    assertThat(statements().get(0).getParamTypesMap().values())
        .extracting(Type::getCode)
        .containsOnly(TypeCode.STRING, TypeCode.INT64, TypeCode.TIMESTAMP);
    assertThat(statements().get(0).getParams().getFieldsOrThrow("p4").getStringValue()).isEqualTo("1970-01-01T00:00:00Z");
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isEqualTo(1);

    spanner.clearRequests();
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(take), 0));
    assertThat(assignments.assign(KEY, "correlation", Instant.EPOCH)).isEqualTo(Assignments.Outcome.FULL);
    assertThat(statements()).extracting(ExecuteSqlRequest::getSql).containsExactly(insert, history, take, free);
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isZero();

    spanner.clearRequests();
    assertThat(assignments.report(KEY, AssignmentStatus.LOCAL_COMPLETED, Instant.EPOCH)).isTrue();
    assertThat(statements()).extracting(ExecuteSqlRequest::getSql).containsExactly(report, history);
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isEqualTo(1);
  }

  @Test
  void metricsReplaceAllColumnsAsSpannerWants() {
    String write = """
        INSERT INTO model_metrics (population_name, task_id, iteration_id, metric_name, metric_value, created_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (population_name, task_id, iteration_id, metric_name)
        DO UPDATE SET population_name = excluded.population_name, task_id = excluded.task_id, iteration_id = excluded.iteration_id,
            metric_name = excluded.metric_name, metric_value = excluded.metric_value, created_time = excluded.created_time
        """;
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(write), 1));
    new ModelMetrics(database).write(KEY.iteration(), Map.of("loss", 0.5, "accuracy", 0.75), Instant.EPOCH);
    assertThat(statements()).extracting(ExecuteSqlRequest::getSql).containsExactly(write, write);
    assertThat(statements().get(0).getParamTypesOrThrow("p5").getCode()).isEqualTo(TypeCode.FLOAT64);
    assertThat(spanner.countRequestsOfType(CommitRequest.class)).isEqualTo(1);
  }

  @Test
  void locksAreStatementsThatSpannerHas() {
    String take = "INSERT INTO int_lock (lock_key, region, client_id, created_date) VALUES ($1, $2, $3, CURRENT_TIMESTAMP)"
        + " ON CONFLICT (lock_key, region) DO NOTHING";
    String now = "SELECT CURRENT_TIMESTAMP FROM int_lock WHERE lock_key = $1 AND region = $2";
    String takeOver = "UPDATE int_lock SET client_id = $1, created_date = CURRENT_TIMESTAMP WHERE created_date < $2 AND lock_key = $3"
        + " AND region = $4";
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(take), 0));
    spanner.putPartialStatementResult(
        StatementResult.query(Statement.of(now), rows("now", TypeCode.TIMESTAMP, "2026-01-01T00:00:10.000001Z")));
    spanner.putPartialStatementResult(StatementResult.update(Statement.of(takeOver), 0));
    try (Locks locks = new Locks(database)) {
      assertThat(locks.tryLock("collector_people/1/2/0")).isEmpty();
    }
    assertThat(statements()).extracting(ExecuteSqlRequest::getSql).containsExactly(take, now, takeOver);
    assertThat(statements().get(2).getParams().getFieldsOrThrow("p2").getStringValue()).startsWith("2026-01-01T00:00:00.000001");
  }
}

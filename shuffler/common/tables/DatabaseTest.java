package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.zaxxer.hikari.HikariDataSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.jdbc.BadSqlGrammarException;
import org.springframework.jdbc.core.simple.JdbcClient;

class DatabaseTest {
  @RegisterExtension static final PrivatePostgres postgres = PrivatePostgres.start();
  private static HikariDataSource source;
  private static Database database;

  @BeforeAll
  static void connect() {
    source = Postgres.connect(postgres.newDatabase(), "test", "");
    database = new Database(source);
    database.<Integer>transact(client -> client.sql("CREATE TABLE t (k bigint PRIMARY KEY, n bigint NOT NULL)").update());
  }

  @AfterAll
  static void disconnect() {
    source.close();
  }

  @BeforeEach
  void twoRows() {
    database.<Integer>transact(client -> {
      client.sql("DELETE FROM t").update();
      return client.sql("INSERT INTO t (k, n) VALUES (1, 0), (2, 0)").update();
    });
  }

  private static int increment(JdbcClient client, long key) {
    return client.sql("UPDATE t SET n = n + 1 WHERE k = :k").param("k", key).update();
  }

  private static List<Long> numbers() {
    return database.query(client -> client.sql("SELECT n FROM t ORDER BY k").query(Long.class).list());
  }

  private static <T> List<T> together(List<Callable<T>> work) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(work.size());
    try {
      List<T> results = new ArrayList<>();
      for (Future<T> done : threads.invokeAll(work)) {
        results.add(done.get());
      }
      return results;
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void workThatFailsHasNotHappened() {
    assertThatThrownBy(() -> database.transact(client -> {
      increment(client, 1);
      throw new IllegalStateException("no");
    })).hasMessage("no");
    assertThat(numbers()).containsExactly(0L, 0L);
  }

  @Test
  void workThatWasChosenToEndADeadlockRunsAgain() throws Exception {
    CyclicBarrier bothHaveOne = new CyclicBarrier(2);
    AtomicInteger runs = new AtomicInteger();
    List<Callable<Integer>> work = new ArrayList<>();
    for (long first : new long[] {1, 2}) {
      AtomicInteger ownRuns = new AtomicInteger();
      work.add(() -> database.transact(client -> {
        runs.incrementAndGet();
        increment(client, first);
        if (ownRuns.incrementAndGet() == 1) {
          await(bothHaveOne);
        }
        return increment(client, 3 - first);
      }));
    }
    assertThat(together(work)).containsExactly(1, 1);
    assertThat(runs).hasValueGreaterThan(2);
    assertThat(numbers()).containsExactly(2L, 2L);
  }

  @Test
  void workThatReadsTheNextKeyRunsAgainIfAnotherUsesIt() throws Exception {
    Callable<Long> next = () -> database.transact(client -> {
      long key = client.sql("SELECT MAX(k) + 1 FROM t").query(Long.class).single();
      client.sql("INSERT INTO t (k, n) VALUES (:k, 0)").param("k", key).update();
      return key;
    });
    assertThat(together(LongStream.range(0, 4).mapToObj(i -> next).toList())).containsExactlyInAnyOrder(3L, 4L, 5L, 6L);
  }

  @Test
  void conditionIsJudgedByTheNewestRow() throws Exception {
    Callable<Integer> take = () -> database.transact(client ->
        client.sql("UPDATE t SET n = n + 1 WHERE k = 1 AND n < 3").update());
    assertThat(together(LongStream.range(0, 8).mapToObj(i -> take).toList()).stream().mapToInt(taken -> taken).sum()).isEqualTo(3);
    assertThat(numbers()).containsExactly(3L, 0L);
  }

  @Test
  void workThatAlwaysLosesEndsInOneError() {
    AtomicInteger runs = new AtomicInteger();
    assertThatThrownBy(() -> database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("INSERT INTO t (k, n) VALUES (1, 0)").update();
    })).isInstanceOf(DuplicateKeyException.class);
    assertThat(runs).hasValue(12);
  }

  @Test
  void whatIsWrongIsNotRunAgain() {
    AtomicInteger runs = new AtomicInteger();
    assertThatThrownBy(() -> database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("UPDATE nothing SET n = 0").update();
    })).isInstanceOf(BadSqlGrammarException.class);
    assertThat(runs).hasValue(1);
  }

  private static void await(CyclicBarrier barrier) {
    try {
      barrier.await(1, TimeUnit.MINUTES);
    } catch (Exception problem) {
      throw new IllegalStateException(problem);
    }
  }
}

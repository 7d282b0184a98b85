package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
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
import javax.sql.DataSource;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.springframework.dao.DataIntegrityViolationException;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.dao.InvalidDataAccessResourceUsageException;
import org.springframework.jdbc.core.simple.JdbcClient;

/** What every adapter of tables promises; its test extends this. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class DatabaseContract<S extends TestServer> {
  @RegisterExtension final S server;
  private TestDatabase tables;
  private Database database;

  /** Holds the adapter of a server to it. */
  protected DatabaseContract(S server) {
    this.server = server;
  }

  protected S server() {
    return server;
  }

  /** With a table t of keys k and numbers n; there are 1 and 2, which have 0. */
  protected Database database() {
    return database;
  }

  @BeforeAll
  void makeTable() {
    tables = server.newDatabase(DatabaseContract::createTable);
    database = tables.database();
  }

  @AfterAll
  void disconnect() {
    tables.close();
  }

  private static void createTable(DataSource postgres) {
    new Database(postgres).<Integer>transact(client -> client
        .sql("CREATE TABLE t (k bigint PRIMARY KEY, n bigint NOT NULL CHECK (n >= 0))")
        .update());
  }

  @BeforeEach
  void twoRows() {
    database.<Integer>transact(client -> {
      client.sql("DELETE FROM t WHERE k > 0").update();
      return client.sql("INSERT INTO t (k, n) VALUES (1, 0), (2, 0)").update();
    });
  }

  protected static int increment(JdbcClient client, long key) {
    return client.sql("UPDATE t SET n = n + 1 WHERE k = :k").param("k", key).update();
  }

  /** In the order of the keys. */
  protected List<Long> numbers() {
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
  public void workThatFailsHasNotHappened() {
    assertThatThrownBy(() -> database.transact(client -> {
      increment(client, 1);
      throw new IllegalStateException("no");
    })).hasMessage("no");
    assertThat(numbers()).containsExactly(0L, 0L);
  }

  @Test
  public void workThatWasChosenToEndADeadlockRunsAgain() throws Exception {
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
  public void workThatReadsTheNextKeyRunsAgainIfAnotherUsesIt() throws Exception {
    Callable<Long> next = () -> database.transact(client -> {
      long key = client.sql("SELECT MAX(k) + 1 FROM t").query(Long.class).single();
      client.sql("INSERT INTO t (k, n) VALUES (:k, 0)").param("k", key).update();
      return key;
    });
    assertThat(together(LongStream.range(0, 4).mapToObj(i -> next).toList())).containsExactlyInAnyOrder(3L, 4L, 5L, 6L);
  }

  @Test
  public void conditionIsJudgedByTheNewestRow() throws Exception {
    Callable<Integer> take = () -> database.transact(client ->
        client.sql("UPDATE t SET n = n + 1 WHERE k = 1 AND n < 3").update());
    assertThat(together(LongStream.range(0, 8).mapToObj(i -> take).toList()).stream().mapToInt(taken -> taken).sum()).isEqualTo(3);
    assertThat(numbers()).containsExactly(3L, 0L);
  }

  @Test
  public void workThatAlwaysLosesEndsInOneError() {
    AtomicInteger runs = new AtomicInteger();
    assertThatThrownBy(() -> database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("INSERT INTO t (k, n) VALUES (1, 0)").update();
    })).isInstanceOf(DuplicateKeyException.class);
    assertThat(runs).hasValue(12);
  }

  @Test
  public void whatIsWrongIsNotRunAgain() {
    AtomicInteger runs = new AtomicInteger();
    assertThatThrownBy(() -> database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("UPDATE nothing SET n = 0").update();
    })).isInstanceOf(InvalidDataAccessResourceUsageException.class);
    assertThat(runs).hasValue(1);
  }

  @Test
  public void whatATableRefusesIsNotRunAgain() {
    AtomicInteger runs = new AtomicInteger();
    assertThatThrownBy(() -> database.<Integer>transact(client -> {
      runs.incrementAndGet();
      return client.sql("UPDATE t SET n = -1 WHERE k = 1").update();
    })).isInstanceOf(DataIntegrityViolationException.class).isNotInstanceOf(DuplicateKeyException.class);
    assertThat(runs).hasValue(1);
    assertThat(numbers()).containsExactly(0L, 0L);
  }

  private static void await(CyclicBarrier barrier) {
    try {
      barrier.await(1, TimeUnit.MINUTES);
    } catch (Exception problem) {
      throw new IllegalStateException(problem);
    }
  }
}

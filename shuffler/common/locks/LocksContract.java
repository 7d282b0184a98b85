package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Schema;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestDatabase;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Locks on an adapter of the tables; its test extends this. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class LocksContract {
  private static final Duration LONG = Duration.ofMinutes(1);
  private static final Duration SHORT = Duration.ofMillis(300);

  @RegisterExtension final TestServer server;
  private TestDatabase tables;
  private Database database;

  /** Holds the adapter of a server to it. */
  LocksContract(TestServer server) {
    this.server = server;
  }

  @BeforeAll
  void makeTables() {
    tables = server.newDatabase(Schema.TASKS::migrate);
    database = tables.database();
  }

  @AfterAll
  void disconnect() {
    tables.close();
  }

  private String holder(String name) {
    return database.query(client -> client.sql("SELECT client_id FROM int_lock WHERE lock_key = :key")
        .param("key", UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8)).toString())
        .query(String.class)
        .optional()
        .orElse("nobody"));
  }

  private void makeOld(String name) {
    database.<Integer>transact(client -> client.sql("UPDATE int_lock SET created_date = :old WHERE client_id = :holder")
        .param("old", ago(Duration.ofHours(1)))
        .param("holder", holder(name))
        .update());
  }

  private static OffsetDateTime ago(Duration time) {
    return OffsetDateTime.now(ZoneOffset.UTC).minus(time);
  }

  @Test
  void onlyOneOfManyThreadsOfTwoProcessesHasIt() throws Exception {
    AtomicInteger inside = new AtomicInteger();
    AtomicInteger mostInside = new AtomicInteger();
    int[] unguarded = {0};
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try (Locks first = new Locks(database, LONG); Locks second = new Locks(database, LONG)) {
      List<Callable<Void>> work = new ArrayList<>();
      for (int i = 0; i < 64; i++) {
        Locks locks = i % 2 == 0 ? first : second;
        work.add(() -> {
          try (Lock lock = locks.tryLock("shared", LONG).orElseThrow()) {
            mostInside.accumulateAndGet(inside.incrementAndGet(), Math::max);
            unguarded[0]++;
            inside.decrementAndGet();
          }
          return null;
        });
      }
      for (Future<Void> done : threads.invokeAll(work)) {
        done.get();
      }
    } finally {
      threads.shutdownNow();
    }
    assertThat(mostInside).hasValue(1);
    assertThat(unguarded[0]).isEqualTo(64);
    assertThat(holder("shared")).isEqualTo("nobody");
  }

  @Test
  void isNotGivenTwiceEvenToTheSameThread() {
    try (Locks locks = new Locks(database, LONG); Lock lock = locks.tryLock("once").orElseThrow()) {
      assertThat(locks.tryLock("once")).isEmpty();
      lock.close();
      Lock again = locks.tryLock("once").orElseThrow();
      // A lock that was released does not release the next one.
      lock.close();
      assertThat(locks.tryLock("once")).isEmpty();
      again.close();
    }
  }

  @Test
  void workIsDoneUnderALockThatIsFree() {
    List<String> done = new ArrayList<>();
    try (Locks locks = new Locks(database, LONG)) {
      locks.ifFree("work", () -> {
        done.add(holder("work"));
        locks.ifFree("work", () -> done.add("twice"));
      });
      assertThatThrownBy(() -> locks.ifFree("work", () -> {
        throw new IllegalStateException("problem");
      })).hasMessage("problem");
      assertThat(done).hasSize(1).doesNotContain("nobody", "twice");
      assertThat(holder("work")).isEqualTo("nobody");
    }
  }

  @Test
  void namesOfAnyLengthAreDifferentLocks() {
    String population = "p".repeat(64);
    try (Locks locks = new Locks(database, LONG);
        Lock one = locks.tryLock("collector_" + population + "/1/1/0").orElseThrow();
        Lock other = locks.tryLock("collector_" + population + "/1/2/0").orElseThrow()) {
      assertThat(one).isNotSameAs(other);
    }
  }

  @Test
  void leaseOfAProcessThatDiedIsTakenOverOnceWhenItRanOut() throws Exception {
    Locks dead = new Locks(database, SHORT);
    Lock left = dead.tryLock("left").orElseThrow();
    dead.close();
    try (Locks one = new Locks(database, LONG); Locks other = new Locks(database, LONG)) {
      // It has not run out by this lease.
      assertThat(one.tryLock("left")).isEmpty();
      makeOld("left");
      ExecutorService threads = Executors.newFixedThreadPool(2);
      List<Callable<Optional<Lock>>> both = List.of(() -> one.tryLock("left"), () -> other.tryLock("left"));
      List<Lock> taken = new ArrayList<>();
      for (Future<Optional<Lock>> attempt : threads.invokeAll(both)) {
        attempt.get().ifPresent(taken::add);
      }
      threads.shutdown();
      assertThat(taken).hasSize(1);
      String holder = holder("left");
      // Who comes back from the dead releases nothing that is not its own.
      left.close();
      assertThat(holder("left")).isEqualTo(holder).isNotEqualTo("nobody");
      taken.get(0).close();
      assertThat(holder("left")).isEqualTo("nobody");
    }
  }

  @Test
  void isRenewedWhileItIsHeldAndNotTakenBackOnceItIsLost() throws Exception {
    try (Locks holding = new Locks(database, SHORT); Locks other = new Locks(database, LONG)) {
      Lock lock = holding.tryLock("renewed").orElseThrow();
      makeOld("renewed");
      String holder = holder("renewed");
      await(() -> database.query(client -> client.sql("SELECT count(*) FROM int_lock WHERE client_id = :holder AND created_date > :old")
          .param("holder", holder)
          .param("old", ago(Duration.ofMinutes(1)))
          .query(Long.class)
          .single()) == 1);
      database.<Integer>transact(client ->
          client.sql("UPDATE int_lock SET client_id = 'another' WHERE client_id = :holder").param("holder", holder).update());
      makeOld("renewed");
      Lock next = other.tryLock("renewed").orElseThrow();
      String after = holder("renewed");
      lock.close();
      assertThat(holder("renewed")).isEqualTo(after);
      next.close();
    }
  }

  @Test
  void waitsUntilItIsReleasedOrTheTimeIsOver() throws Exception {
    try (Locks locks = new Locks(database, LONG)) {
      Lock lock = locks.tryLock("wait").orElseThrow();
      assertThat(locks.tryLock("wait", Duration.ofMillis(1))).isEmpty();
      ExecutorService thread = Executors.newSingleThreadExecutor();
      Future<Optional<Lock>> waiting = thread.submit(() -> locks.tryLock("wait", LONG));
      lock.close();
      waiting.get(1, TimeUnit.MINUTES).orElseThrow().close();
      thread.shutdown();
    }
  }

  @Test
  void releaseDoesNotFailWithTheDatabase() {
    HikariConfig same = new HikariConfig();
    tables.source().copyStateTo(same);
    HikariDataSource other = new HikariDataSource(same);
    try (Locks locks = new Locks(tables.over(other), LONG)) {
      Lock lock = locks.tryLock("gone").orElseThrow();
      other.close();
      lock.close();
      assertThat(holder("gone")).isNotEqualTo("nobody");
    }
  }

  private static void await(Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + LONG.toNanos();
    while (!condition.call()) {
      assertThat(System.nanoTime()).isLessThan(end);
      Thread.sleep(10);
    }
  }
}

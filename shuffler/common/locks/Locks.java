package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.dao.ConcurrencyFailureException;
import org.springframework.dao.DataAccessException;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.transaction.TransactionException;

/**
 * Locks that the processes of a backend share, as rows of the table int_lock. Also threads of one process exclude each other; a thread
 * that has a lock does not get it again.
 *
 * <p>A lock is a lease of 10 seconds, which is renewed while it is held; that of a process that died is taken over when it ran out. A
 * process that was only stopped for longer than that goes on as if it still held it. So a lock saves work that two would do, and no more:
 * who holds one still moves rows by conditional updates, which alone decide.
 */
public final class Locks implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Locks.class);
  private static final Duration LEASE = Duration.ofSeconds(10);
  private static final Duration LONGEST_PAUSE = Duration.ofMillis(200);

  // As Spring Integration's JdbcLockRegistry names what has no other name.
  private static final String REGION = "DEFAULT";
  private static final String OF_LOCK = "lock_key = :key AND region = :region";

  private final Database database;
  private final Duration lease;
  private final ScheduledExecutorService renewal;
  private final Map<Lease, String> held = new ConcurrentHashMap<>();

  /** Keeps locks in the task database. */
  public Locks(Database database) {
    this(database, LEASE);
  }

  Locks(Database database, Duration lease) {
    this.database = database;
    this.lease = lease;
    this.renewal = Executors.newSingleThreadScheduledExecutor(work -> {
      Thread thread = new Thread(work, "locks");
      thread.setDaemon(true);
      return thread;
    });
    long period = lease.dividedBy(3).toMillis();
    renewal.scheduleWithFixedDelay(this::renew, period, period, TimeUnit.MILLISECONDS);
  }

  /**
   * Takes a lock, if nobody holds it and not too many want it.
   *
   * @throws DataAccessException if the database cannot be asked
   */
  public Optional<Lock> tryLock(String name) {
    // One for each time that a lock is taken, so that none renews or releases what another one took over.
    Lease taken = new Lease(
        UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8)).toString(), UUID.randomUUID().toString());
    try {
      if (!database.<Boolean>transact(client -> take(client, taken))) {
        return Optional.empty();
      }
    } catch (ConcurrencyFailureException crowded) {
      // Who loses again and again, as on Spanner where many want the same, loses against those who have it by turns.
      return Optional.empty();
    }
    held.put(taken, name);
    return Optional.of(() -> release(taken));
  }

  /**
   * Takes a lock as soon as nobody holds it, if that is before WAIT is over.
   *
   * @throws DataAccessException if the database cannot be asked
   * @throws InterruptedException if the thread is interrupted while it waits
   */
  public Optional<Lock> tryLock(String name, Duration wait) throws InterruptedException {
    long end = System.nanoTime() + wait.toNanos();
    while (true) {
      Optional<Lock> lock = tryLock(name);
      long left = end - System.nanoTime();
      if (lock.isPresent() || left <= 0) {
        return lock;
      }
      TimeUnit.NANOSECONDS.sleep(Math.min(left, ThreadLocalRandom.current().nextLong(LONGEST_PAUSE.toNanos())));
    }
  }

  /**
   * Does something under a lock, if nobody holds it.
   *
   * @throws DataAccessException if the database cannot be asked
   */
  public void ifFree(String name, Runnable work) {
    tryLock(name).ifPresent(lock -> {
      try (Lock held = lock) {
        work.run();
      }
    });
  }

  /** Renews no lease any more: what is still held runs out. */
  @Override
  public void close() {
    renewal.shutdownNow();
  }

  private boolean take(JdbcClient client, Lease taken) {
    int inserted = client.sql("INSERT INTO int_lock (lock_key, region, client_id, created_date)"
            + " VALUES (:key, :region, :holder, CURRENT_TIMESTAMP) ON CONFLICT (lock_key, region) DO NOTHING")
        .params(taken.parameters())
        .update();
    return inserted == 1 || takeOver(client, taken);
  }

  /** Takes a lease that ran out. All times are the database's, whatever the clocks of its clients say. */
  private boolean takeOver(JdbcClient client, Lease taken) {
    // PostgreSQL and Spanner do not agree on how to subtract from a time.
    Optional<OffsetDateTime> now = client.sql("SELECT CURRENT_TIMESTAMP FROM int_lock WHERE " + OF_LOCK)
        .params(taken.keys())
        .query(OffsetDateTime.class)
        .optional();
    return now.isPresent()
        && client.sql("UPDATE int_lock SET client_id = :holder, created_date = CURRENT_TIMESTAMP WHERE created_date < :oldest AND "
                + OF_LOCK)
            .params(taken.parameters())
            .param("oldest", now.get().minus(lease))
            .update() == 1;
  }

  private void renew() {
    held.forEach((lock, name) -> {
      try {
        int renewed = database.transact(client -> client
            .sql("UPDATE int_lock SET created_date = CURRENT_TIMESTAMP WHERE client_id = :holder AND " + OF_LOCK)
            .params(lock.parameters())
            .update());
        if (renewed == 0 && held.remove(lock) != null) {
          LOG.warn("the lease of lock {} ran out while it was held: another process may have it", name);
        }
      } catch (DataAccessException | TransactionException problem) {
        LOG.warn("cannot renew lock {}: {}; trying again", name, problem.getMessage());
      }
    });
  }

  private void release(Lease lock) {
    String name = held.remove(lock);
    if (name == null) {
      return;
    }
    try {
      database.<Integer>transact(client -> client.sql("DELETE FROM int_lock WHERE client_id = :holder AND " + OF_LOCK)
          .params(lock.parameters())
          .update());
    } catch (DataAccessException | TransactionException problem) {
      LOG.warn("cannot release lock {}: {}; it runs out in {} s", name, problem.getMessage(), lease.toSeconds());
    }
  }

  /** A row of the table. */
  private record Lease(String key, String holder) {
    Map<String, String> keys() {
      return Map.of("key", key, "region", REGION);
    }

    Map<String, String> parameters() {
      return Map.of("key", key, "region", REGION, "holder", holder);
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import javax.sql.DataSource;
import org.springframework.dao.ConcurrencyFailureException;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.jdbc.support.JdbcTransactionManager;
import org.springframework.jdbc.support.SQLExceptionSubclassTranslator;
import org.springframework.jdbc.support.SQLExceptionTranslator;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Runs SQL in transactions that either happen as a whole or not at all.
 *
 * <p>What a caller may rely on is what PostgreSQL's READ COMMITTED and Spanner both give: an UPDATE with a condition sees and locks the
 * newest row. So a row moves by {@code UPDATE ... WHERE status = :from} and a look at the count, never by reading first and writing
 * later. A transaction that loses against another one (aborted, deadlock, a key that the other one just used) runs again, with what is
 * there then.
 */
public final class Database {
  private static final int ATTEMPTS = 12;
  private static final Duration FIRST_DELAY = Duration.ofMillis(2);
  private static final Duration LONGEST_DELAY = Duration.ofMillis(500);

  private final JdbcClient client;
  private final TransactionTemplate writing;

  /** Of a PostgreSQL server. */
  public Database(DataSource source) {
    this(source, new SQLExceptionSubclassTranslator());
  }

  /**
   * Of any server.
   *
   * @param errors says which errors of the driver are a lost transaction, a key that is there already, and so on
   */
  public Database(DataSource source, SQLExceptionTranslator errors) {
    JdbcTemplate template = new JdbcTemplate(source);
    template.setExceptionTranslator(errors);
    this.client = JdbcClient.create(template);
    JdbcTransactionManager manager = new JdbcTransactionManager(source);
    manager.setExceptionTranslator(errors);
    this.writing = new TransactionTemplate(manager);
  }

  /**
   * Runs statements in one transaction, again if it lost against another one; so WORK must have no effect beside them.
   *
   * @return what WORK returns
   * @throws org.springframework.dao.DataAccessException if the database refuses, or it lost {@value #ATTEMPTS} times
   */
  public <T> T transact(Function<JdbcClient, T> work) {
    for (int attempt = 1; ; attempt++) {
      try {
        return writing.execute(status -> work.apply(client));
      } catch (ConcurrencyFailureException | DuplicateKeyException lost) {
        if (attempt == ATTEMPTS) {
          throw lost;
        }
        pause(attempt);
      }
    }
  }

  /** Runs a query. It sees one state of the database, and locks nothing; a second one may see the next state. */
  public <T> T query(Function<JdbcClient, T> work) {
    return work.apply(client);
  }

  /** Full jitter: those that lost together do not meet again. */
  private static void pause(int attempt) {
    long longest = Math.min(LONGEST_DELAY.toNanos(), FIRST_DELAY.toNanos() << attempt);
    try {
      TimeUnit.NANOSECONDS.sleep(ThreadLocalRandom.current().nextLong(longest));
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted between two attempts of a transaction", stop);
    }
  }
}

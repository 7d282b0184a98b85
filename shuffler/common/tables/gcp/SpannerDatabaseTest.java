package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.DatabaseContract;
import com.google.spanner.v1.SpannerGrpc;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.springframework.dao.DuplicateKeyException;

/** The contract of tables on a server that speaks Spanner's protocol, and what only Spanner's protocol has. */
class SpannerDatabaseTest extends DatabaseContract<SpannerServer> {
  SpannerDatabaseTest() {
    super(new SpannerServer());
  }

  @Test
  void workWhoseAnswersAreLostHappensOnce() {
    AtomicInteger runs = new AtomicInteger();
    database().<Integer>transact(client -> {
      runs.incrementAndGet();
      increment(client, 1);
      server().loseNextAnswer(SpannerGrpc.getExecuteSqlMethod());
      server().loseNextAnswer(SpannerGrpc.getCommitMethod());
      return increment(client, 2);
    });
    assertThat(runs).hasValue(1);
    assertThat(numbers()).containsExactly(1L, 1L);
  }

  @Test
  void queryWhoseAnswerIsLostIsAskedAgain() {
    server().loseNextAnswer(SpannerGrpc.getExecuteStreamingSqlMethod());
    assertThat(numbers()).containsExactly(0L, 0L);
  }

  @Test
  void transactionGoesOnAfterAStatementThatWasRefused() {
    database().<Integer>transact(client -> {
      increment(client, 1);
      assertThatThrownBy(() -> client.sql("INSERT INTO t (k, n) VALUES (2, 7)").update()).isInstanceOf(DuplicateKeyException.class);
      return increment(client, 2);
    });
    assertThat(numbers()).containsExactly(1L, 1L);
  }

  @Test
  void workThatRestedForTooLongRunsAgain() {
    AtomicInteger runs = new AtomicInteger();
    database().<Integer>transact(client -> {
      increment(client, 1);
      if (runs.incrementAndGet() == 1) {
        // Instead of Spanner's 10 seconds.
        client.sql("SELECT set_config('idle_in_transaction_session_timeout', '1ms', true)").query(String.class).single();
        awaitNoTransaction();
      }
      return increment(client, 2);
    });
    assertThat(runs).hasValue(2);
    assertThat(numbers()).containsExactly(1L, 1L);
  }

  private void awaitNoTransaction() {
    String resting = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    // In another thread: what this one asks belongs to the transaction.
    assertTimeoutPreemptively(Duration.ofMinutes(1), () -> {
      while (database().<Long>query(client -> client.sql(resting).query(Long.class).single()) > 0) {
        Thread.sleep(10);
      }
    });
  }
}

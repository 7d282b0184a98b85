package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing.SpannerServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.DatabaseContract;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.TestServer;
import com.google.spanner.v1.SpannerGrpc;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.springframework.dao.DuplicateKeyException;

/** The contract of tables on a server that speaks Spanner's protocol, and what only Spanner's protocol has. */
class SpannerDatabaseTest extends DatabaseContract {
  private final SpannerServer server = new SpannerServer();

  @Override
  protected TestServer startServer() {
    return server;
  }

  @Test
  void workWhoseAnswersAreLostHappensOnce() {
    AtomicInteger runs = new AtomicInteger();
    database().<Integer>transact(client -> {
      runs.incrementAndGet();
      increment(client, 1);
      server.loseNextAnswer(SpannerGrpc.getExecuteSqlMethod());
      server.loseNextAnswer(SpannerGrpc.getCommitMethod());
      return increment(client, 2);
    });
    assertThat(runs).hasValue(1);
    assertThat(numbers()).containsExactly(1L, 1L);
  }

  @Test
  void queryWhoseAnswerIsLostIsAskedAgain() {
    server.loseNextAnswer(SpannerGrpc.getExecuteStreamingSqlMethod());
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
}

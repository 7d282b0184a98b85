package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing;

import com.google.protobuf.util.Timestamps;
import com.google.spanner.v1.CommitResponse;
import com.google.spanner.v1.ExecuteBatchDmlResponse;
import com.google.spanner.v1.ResultSet;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.sql.DataSource;

/** A read-write transaction. From its first statement to its end it has a connection to PostgreSQL. */
final class ReadWrite {
  // As Spanner: https://cloud.google.com/spanner/docs/transactions#idle_transactions.
  private static final String ABORT_IF_IDLE = "SET LOCAL idle_in_transaction_session_timeout = '10s'";

  private final DataSource database;
  private final Map<Long, ExecuteBatchDmlResponse> answers = new HashMap<>();
  private Connection connection;
  private CommitResponse committed;
  private Status end = Status.OK;

  ReadWrite(DataSource database) {
    this.database = database;
  }

  /**
   * Runs statements until one is refused, which the status of the answer then says.
   *
   * @param number of what changes something: a second time it is only answered
   * @throws io.grpc.StatusRuntimeException if the transaction has come to its end
   */
  synchronized ExecuteBatchDmlResponse run(long number, List<Sql> statements) {
    if (answers.containsKey(number)) {
      return answers.get(number);
    }
    check();
    ExecuteBatchDmlResponse.Builder answer = ExecuteBatchDmlResponse.newBuilder();
    for (Sql sql : statements) {
      try {
        Savepoint before = connection().setSavepoint();
        try {
          ResultSet result = sql.run(connection);
          connection.releaseSavepoint(before);
          answer.addResultSets(result);
        } catch (SQLException problem) {
          Status status = Sql.status(problem);
          if (status.getCode() == Status.Code.ABORTED) {
            throw problem;
          }
          connection.rollback(before);
          answer.setStatus(StatusProto.fromStatusAndTrailers(status, null));
          break;
        }
      } catch (SQLException problem) {
        end(Sql.status(problem));
        check();
      }
    }
    if (statements.stream().anyMatch(Sql::changes)) {
      answers.put(number, answer.build());
    }
    return answer.build();
  }

  private Connection connection() throws SQLException {
    if (connection == null) {
      connection = database.getConnection();
      connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      connection.setAutoCommit(false);
      try (Statement statement = connection.createStatement()) {
        statement.execute(ABORT_IF_IDLE);
      }
    }
    return connection;
  }

  /** Commits it; a second time it is only answered. */
  synchronized CommitResponse commit() {
    if (committed == null) {
      check();
      try {
        if (connection != null) {
          connection.commit();
        }
      } catch (SQLException problem) {
        end(Sql.status(problem));
        check();
      }
      committed = CommitResponse.newBuilder().setCommitTimestamp(Timestamps.now()).build();
      end(Status.FAILED_PRECONDITION.withDescription("the transaction was committed"));
    }
    return committed;
  }

  /** Rolls it back, if it has not come to its end. */
  synchronized void rollback() {
    end(Status.FAILED_PRECONDITION.withDescription("the transaction was rolled back"));
  }

  private void check() {
    if (!end.isOk()) {
      throw end.asRuntimeException();
    }
  }

  private void end(Status why) {
    if (end.isOk()) {
      end = why;
      try {
        if (connection != null) {
          // What was not committed is rolled back.
          connection.close();
        }
      } catch (SQLException gone) {
        // With its connection, all that it did.
      }
    }
  }
}

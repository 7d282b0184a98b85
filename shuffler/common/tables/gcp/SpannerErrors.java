package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp;

import com.google.cloud.spanner.jdbc.JdbcSqlException;
import java.sql.SQLException;
import org.springframework.dao.CannotAcquireLockException;
import org.springframework.dao.DataAccessException;
import org.springframework.dao.DataIntegrityViolationException;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.dao.InvalidDataAccessResourceUsageException;
import org.springframework.dao.QueryTimeoutException;
import org.springframework.jdbc.support.SQLExceptionTranslator;

/**
 * Spanner's errors in Spring's words, by the codes of gRPC: the driver has no SQL states that Spring knows.
 *
 * <p>Only ABORTED says that a transaction certainly did not happen and may run again. The client library repeats what was UNAVAILABLE itself,
 * where that is safe; if it gives up, whether a transaction happened is unknown, so nobody runs it again.
 */
public final class SpannerErrors implements SQLExceptionTranslator {
  @Override
  public DataAccessException translate(String task, String sql, SQLException problem) {
    if (!(problem instanceof JdbcSqlException spanner)) {
      return null;
    }
    String told = task + ": " + problem.getMessage();
    return switch (spanner.getCode()) {
      case ABORTED -> new CannotAcquireLockException(told, problem);
      case ALREADY_EXISTS -> new DuplicateKeyException(told, problem);
      case FAILED_PRECONDITION, OUT_OF_RANGE -> new DataIntegrityViolationException(told, problem);
      case INVALID_ARGUMENT, NOT_FOUND -> new InvalidDataAccessResourceUsageException(told, problem);
      case DEADLINE_EXCEEDED, CANCELLED -> new QueryTimeoutException(told, problem);
      // Spring's word for what it does not know.
      default -> null;
    };
  }
}

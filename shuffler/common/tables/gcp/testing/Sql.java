package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing;

import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.spanner.v1.ExecuteBatchDmlRequest;
import com.google.spanner.v1.ExecuteSqlRequest;
import com.google.spanner.v1.ResultSet;
import com.google.spanner.v1.ResultSetMetadata;
import com.google.spanner.v1.StructType;
import com.google.spanner.v1.Type;
import com.google.spanner.v1.TypeAnnotationCode;
import com.google.spanner.v1.TypeCode;
import io.grpc.Status;
import java.sql.Connection;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.SQLFeatureNotSupportedException;
import java.sql.Types;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.postgresql.util.PGobject;

/**
 * A statement of Spanner's protocol, and how PostgreSQL runs it. Values pass as text, of which the two have the same, but for what is said
 * here.
 *
 * @param text with parameters $1, $2, ...
 * @param values of the parameters, by the names p1, p2, ...
 * @param types of parameters; those of others follow from the statement
 * @param plan whether only the types of columns and parameters are asked for
 */
record Sql(String text, Struct values, Map<String, Type> types, boolean plan) {
  /** A parameter, or else something that may contain what looks like one. */
  private static final Pattern PARAMETER = Pattern.compile("\\$([0-9]+)|'[^']*'|\"[^\"]*\"|--[^\n]*");

  private static final Pattern CHANGE = Pattern.compile("\\s*(INSERT|UPDATE|DELETE)\\b.*", Pattern.CASE_INSENSITIVE | Pattern.DOTALL);

  private static final Map<TypeCode, String> POSTGRES_TYPES = Map.of(
      TypeCode.BOOL, "bool",
      TypeCode.FLOAT64, "float8",
      TypeCode.INT64, "int8",
      TypeCode.JSON, "jsonb",
      TypeCode.NUMERIC, "numeric",
      TypeCode.STRING, "varchar",
      TypeCode.TIMESTAMP, "timestamptz");

  static Sql of(ExecuteSqlRequest request) {
    ExecuteSqlRequest.QueryMode mode = request.getQueryMode();
    if (mode != ExecuteSqlRequest.QueryMode.NORMAL && mode != ExecuteSqlRequest.QueryMode.PLAN) {
      throw Status.UNIMPLEMENTED.withDescription("query mode " + mode).asRuntimeException();
    }
    return new Sql(request.getSql(), request.getParams(), request.getParamTypesMap(), mode == ExecuteSqlRequest.QueryMode.PLAN);
  }

  static Sql of(ExecuteBatchDmlRequest.Statement statement) {
    return new Sql(statement.getSql(), statement.getParams(), statement.getParamTypesMap(), false);
  }

  /** Whether it is DML. */
  boolean changes() {
    return CHANGE.matcher(text).matches();
  }

  /** What PostgreSQL answers. */
  ResultSet run(Connection connection) throws SQLException {
    List<String> names = new ArrayList<>();
    String sql = PARAMETER.matcher(text).replaceAll(found -> {
      if (found.group(1) == null) {
        return Matcher.quoteReplacement(found.group());
      }
      names.add("p" + found.group(1));
      return "?";
    });
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int i = 0; i < names.size(); i++) {
        bind(statement, i + 1, names.get(i));
      }
      ResultSet.Builder answer = ResultSet.newBuilder();
      long changed = 0;
      if (plan) {
        answer.setMetadata(columns(statement.getMetaData()).setUndeclaredParameters(undeclared(statement.getParameterMetaData(), names)));
      } else if (statement.execute()) {
        read(statement.getResultSet(), answer);
        changed = answer.getRowsCount();
      } else {
        answer.setMetadata(columns(null));
        changed = statement.getUpdateCount();
      }
      if (changes()) {
        answer.getStatsBuilder().setRowCountExact(changed);
      }
      return answer.build();
    }
  }

  private void bind(PreparedStatement statement, int position, String name) throws SQLException {
    Value value = values.getFieldsOrDefault(name, Value.newBuilder().setNullValue(NullValue.NULL_VALUE).build());
    String bound = switch (value.getKindCase()) {
      case NULL_VALUE -> null;
      case STRING_VALUE -> value.getStringValue();
      case NUMBER_VALUE -> Double.toString(value.getNumberValue());
      case BOOL_VALUE -> Boolean.toString(value.getBoolValue());
      default -> throw new SQLFeatureNotSupportedException("parameter " + name + ": " + value.getKindCase());
    };
    if (types.containsKey(name)) {
      PGobject typed = new PGobject();
      typed.setType(postgresType(types.get(name)));
      typed.setValue(bound);
      statement.setObject(position, typed);
    } else {
      statement.setObject(position, bound, Types.OTHER);
    }
  }

  private static String postgresType(Type type) throws SQLException {
    String found = POSTGRES_TYPES.get(type.getCode());
    if (found == null) {
      throw new SQLFeatureNotSupportedException("type " + type.getCode());
    }
    return found;
  }

  private static Type spannerType(String postgresType) throws SQLException {
    Type.Builder type = Type.newBuilder();
    return (switch (postgresType) {
      case "bool" -> type.setCode(TypeCode.BOOL);
      case "float8" -> type.setCode(TypeCode.FLOAT64);
      // Spanner has one type of integers, also for constants.
      case "int4", "int8" -> type.setCode(TypeCode.INT64);
      case "jsonb" -> type.setCode(TypeCode.JSON).setTypeAnnotation(TypeAnnotationCode.PG_JSONB);
      case "numeric" -> type.setCode(TypeCode.NUMERIC).setTypeAnnotation(TypeAnnotationCode.PG_NUMERIC);
      case "name", "text", "varchar" -> type.setCode(TypeCode.STRING);
      case "timestamptz" -> type.setCode(TypeCode.TIMESTAMP);
      default -> throw new SQLFeatureNotSupportedException("type " + postgresType);
    }).build();
  }

  private StructType undeclared(ParameterMetaData parameters, List<String> names) throws SQLException {
    StructType.Builder undeclared = StructType.newBuilder();
    for (int i = 0; i < names.size(); i++) {
      if (!types.containsKey(names.get(i))) {
        undeclared.addFieldsBuilder().setName(names.get(i)).setType(spannerType(parameters.getParameterTypeName(i + 1)));
      }
    }
    return undeclared.build();
  }

  /**
   * Describes columns.
   *
   * @param columns null if there are none
   */
  private static ResultSetMetadata.Builder columns(java.sql.ResultSetMetaData columns) throws SQLException {
    StructType.Builder row = StructType.newBuilder();
    for (int i = 1; columns != null && i <= columns.getColumnCount(); i++) {
      row.addFieldsBuilder().setName(columns.getColumnLabel(i)).setType(spannerType(columns.getColumnTypeName(i)));
    }
    return ResultSetMetadata.newBuilder().setRowType(row);
  }

  private static void read(java.sql.ResultSet rows, ResultSet.Builder answer) throws SQLException {
    ResultSetMetadata metadata = columns(rows.getMetaData()).build();
    answer.setMetadata(metadata);
    while (rows.next()) {
      ListValue.Builder row = answer.addRowsBuilder();
      for (int i = 1; i <= metadata.getRowType().getFieldsCount(); i++) {
        row.addValues(value(rows, i, metadata.getRowType().getFields(i - 1).getType().getCode()));
      }
    }
  }

  private static Value value(java.sql.ResultSet row, int column, TypeCode type) throws SQLException {
    Value.Builder value = Value.newBuilder();
    if (row.getString(column) == null) {
      return value.setNullValue(NullValue.NULL_VALUE).build();
    }
    return (switch (type) {
      case BOOL -> value.setBoolValue(row.getBoolean(column));
      case FLOAT64 -> Double.isFinite(row.getDouble(column))
          ? value.setNumberValue(row.getDouble(column))
          : value.setStringValue(row.getString(column));
      case TIMESTAMP -> value.setStringValue(row.getObject(column, OffsetDateTime.class).toInstant().toString());
      default -> value.setStringValue(row.getString(column));
    }).build();
  }

  /** What Spanner says where PostgreSQL says this (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
  static Status status(SQLException problem) {
    String state = String.valueOf(problem.getSQLState());
    Status status = switch (state) {
      // serialization_failure, deadlock_detected, idle_in_transaction_session_timeout
      case "40001", "40P01", "25P03" -> Status.ABORTED;
      case "23505" -> Status.ALREADY_EXISTS; // unique_violation
      case "22001" -> Status.FAILED_PRECONDITION; // string_data_right_truncation
      case "42P01" -> Status.NOT_FOUND; // undefined_table
      case "57014" -> Status.DEADLINE_EXCEEDED; // query_canceled
      default -> switch (state.substring(0, 2)) {
        case "08" -> Status.ABORTED; // connection_exception: PostgreSQL has ended it
        case "0A" -> Status.UNIMPLEMENTED; // feature_not_supported
        case "22" -> Status.OUT_OF_RANGE; // data_exception
        case "23" -> Status.FAILED_PRECONDITION; // integrity_constraint_violation
        case "42" -> Status.INVALID_ARGUMENT; // syntax_error_or_access_rule_violation
        default -> Status.INTERNAL;
      };
    };
    return status.withDescription(problem.getMessage()).withCause(problem);
  }
}

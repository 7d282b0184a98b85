package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.gcp.testing;

import com.google.protobuf.ByteString;
import com.google.protobuf.Empty;
import com.google.protobuf.util.Timestamps;
import com.google.spanner.v1.BatchCreateSessionsRequest;
import com.google.spanner.v1.BatchCreateSessionsResponse;
import com.google.spanner.v1.BeginTransactionRequest;
import com.google.spanner.v1.CommitRequest;
import com.google.spanner.v1.CommitResponse;
import com.google.spanner.v1.CreateSessionRequest;
import com.google.spanner.v1.DeleteSessionRequest;
import com.google.spanner.v1.ExecuteBatchDmlRequest;
import com.google.spanner.v1.ExecuteBatchDmlResponse;
import com.google.spanner.v1.ExecuteSqlRequest;
import com.google.spanner.v1.GetSessionRequest;
import com.google.spanner.v1.PartialResultSet;
import com.google.spanner.v1.ResultSet;
import com.google.spanner.v1.RollbackRequest;
import com.google.spanner.v1.Session;
import com.google.spanner.v1.SpannerGrpc;
import com.google.spanner.v1.Transaction;
import com.google.spanner.v1.TransactionOptions;
import com.google.spanner.v1.TransactionSelector;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import javax.sql.DataSource;

/**
 * A Spanner on loopback that speaks its gRPC protocol (https://cloud.google.com/spanner/docs/reference/rpc/google.spanner.v1) and has its
 * SQL run by a real PostgreSQL.
 *
 * <p>What it has of Spanner: sessions; queries outside of transactions, which see one state and lock nothing; read-write transactions,
 * which are serializable, begin with their first statement or before it, are ABORTED if they lose against another one or rest for too long,
 * go on after a statement that was refused, and commit once however often that is asked; DML that is done once for its number; types of
 * parameters and columns; the codes of errors.
 *
 * <p>What it has not: the limits of Spanner's SQL, as PostgreSQL takes more; its locks, as PostgreSQL finds conflicts in another way and
 * lets another transaction win; changes of the schema, mutations, reads without SQL, reads of the past, read-only transactions, partitioned
 * DML, answers in pieces. Whatever else it is asked for, it refuses.
 */
final class FakeSpanner implements AutoCloseable {
  private static final String DATABASE = "projects/p/instances/i/databases/d";

  private final Map<String, DataSource> databases = new ConcurrentHashMap<>();
  private final Map<String, Session> sessions = new ConcurrentHashMap<>();
  private final Map<ByteString, ReadWrite> transactions = new ConcurrentHashMap<>();
  private final Set<MethodDescriptor<?, ?>> unlucky = ConcurrentHashMap.newKeySet();
  private final AtomicLong numbers = new AtomicLong();
  private final Server server;

  /** Serves; there is no database yet. */
  FakeSpanner() {
    try {
      server = NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
          .addService(ServerInterceptors.intercept(new Service(), this::loseIfUnlucky))
          .build()
          .start();
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
  }

  int port() {
    return server.getPort();
  }

  /**
   * Adds a database.
   *
   * @param postgres connections to the one that runs its SQL
   * @return its name
   */
  String add(DataSource postgres) {
    try (Connection connection = postgres.getConnection(); Statement statement = connection.createStatement()) {
      // Where clients look for the dialect.
      statement.execute("CREATE VIEW information_schema.database_options AS"
          + " SELECT 'database_dialect' AS option_name, 'POSTGRESQL' AS option_value");
    } catch (SQLException problem) {
      throw new IllegalStateException(problem);
    }
    String name = DATABASE + numbers.incrementAndGet();
    databases.put(name, postgres);
    return name;
  }

  /** Does what a method is asked for next, and loses the answer. */
  void loseNextAnswer(MethodDescriptor<?, ?> method) {
    unlucky.add(method);
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(1, TimeUnit.MINUTES);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
    }
  }

  private <Q, A> ServerCall.Listener<Q> loseIfUnlucky(ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    if (!unlucky.remove(call.getMethodDescriptor())) {
      return next.startCall(call, headers);
    }
    return next.startCall(new SimpleForwardingServerCall<Q, A>(call) {
      @Override
      public void sendMessage(A message) {}

      @Override
      public void close(Status status, Metadata trailers) {
        super.close(status.isOk() ? Status.UNAVAILABLE.withDescription("the answer is lost") : status, trailers);
      }
    }, headers);
  }

  /** What is asked. */
  private final class Service extends SpannerGrpc.SpannerImplBase {
    private static <A> void answer(StreamObserver<A> reply, Supplier<A> work) {
      try {
        reply.onNext(work.get());
        reply.onCompleted();
      } catch (StatusRuntimeException refusal) {
        reply.onError(refusal);
      }
    }

    private static StatusRuntimeException refusal(Status status, String why) {
      return status.withDescription(why).asRuntimeException();
    }

    @Override
    public void createSession(CreateSessionRequest request, StreamObserver<Session> reply) {
      answer(reply, () -> create(request.getDatabase(), request.getSession()));
    }

    @Override
    public void batchCreateSessions(BatchCreateSessionsRequest request, StreamObserver<BatchCreateSessionsResponse> reply) {
      answer(reply, () -> BatchCreateSessionsResponse.newBuilder()
          .addAllSession(IntStream.range(0, request.getSessionCount())
              .mapToObj(i -> create(request.getDatabase(), request.getSessionTemplate()))
              .toList())
          .build());
    }

    private Session create(String database, Session template) {
      if (!databases.containsKey(database)) {
        throw refusal(Status.NOT_FOUND, "Database not found: " + database);
      }
      Session session = template.toBuilder().setName(database + "/sessions/" + numbers.incrementAndGet()).build();
      sessions.put(session.getName(), session);
      return session;
    }

    private Session session(String name) {
      Session session = sessions.get(name);
      if (session == null) {
        throw refusal(Status.NOT_FOUND, "Session not found: " + name);
      }
      return session;
    }

    private DataSource database(String session) {
      return databases.get(session(session).getName().replaceFirst("/sessions/.*", ""));
    }

    @Override
    public void getSession(GetSessionRequest request, StreamObserver<Session> reply) {
      answer(reply, () -> session(request.getName()));
    }

    @Override
    public void deleteSession(DeleteSessionRequest request, StreamObserver<Empty> reply) {
      answer(reply, () -> {
        sessions.remove(request.getName());
        return Empty.getDefaultInstance();
      });
    }

    @Override
    public void executeSql(ExecuteSqlRequest request, StreamObserver<ResultSet> reply) {
      answer(reply, () -> execute(request));
    }

    @Override
    public void executeStreamingSql(ExecuteSqlRequest request, StreamObserver<PartialResultSet> reply) {
      answer(reply, () -> {
        ResultSet all = execute(request);
        PartialResultSet.Builder only = PartialResultSet.newBuilder().setMetadata(all.getMetadata());
        all.getRowsList().forEach(row -> only.addAllValues(row.getValuesList()));
        if (all.hasStats()) {
          only.setStats(all.getStats());
        }
        return only.build();
      });
    }

    @Override
    public void executeBatchDml(ExecuteBatchDmlRequest request, StreamObserver<ExecuteBatchDmlResponse> reply) {
      answer(reply, () -> {
        List<Sql> statements = request.getStatementsList().stream().map(Sql::of).toList();
        return run(request.getSession(), request.getTransaction(), request.getSeqno(), statements);
      });
    }

    private ResultSet execute(ExecuteSqlRequest request) {
      Sql sql = Sql.of(request);
      TransactionSelector selector = request.getTransaction();
      if (!selector.hasBegin() && !selector.hasId()) {
        return query(request.getSession(), selector.getSingleUse(), sql);
      }
      ExecuteBatchDmlResponse answer = run(request.getSession(), selector, request.getSeqno(), List.of(sql));
      if (answer.getResultSetsCount() == 0) {
        throw StatusProto.toStatusRuntimeException(answer.getStatus());
      }
      return answer.getResultSets(0);
    }

    private ResultSet query(String session, TransactionOptions options, Sql sql) {
      boolean newest = options.equals(TransactionOptions.getDefaultInstance()) || options.getReadOnly().getStrong();
      if (!newest || sql.changes()) {
        throw refusal(Status.UNIMPLEMENTED, "outside of a transaction there are queries of the newest state only");
      }
      try (Connection connection = database(session).getConnection()) {
        ResultSet.Builder answer = sql.run(connection).toBuilder();
        if (options.getReadOnly().getReturnReadTimestamp()) {
          answer.getMetadataBuilder().getTransactionBuilder().setReadTimestamp(Timestamps.now());
        }
        return answer.build();
      } catch (SQLException problem) {
        throw Sql.status(problem).asRuntimeException();
      }
    }

    /** Runs statements of a transaction. If it begins with them, the first one's answer says so. */
    private ExecuteBatchDmlResponse run(String session, TransactionSelector selector, long number, List<Sql> statements) {
      if (selector.hasId()) {
        return transaction(selector.getId()).run(number, statements);
      }
      Transaction begun = begin(session, selector.getBegin());
      ReadWrite transaction = transaction(begun.getId());
      ExecuteBatchDmlResponse.Builder answer = transaction.run(number, statements).toBuilder();
      if (answer.getResultSetsCount() == 0) {
        // Nobody will know that it began.
        transaction.rollback();
      } else {
        answer.getResultSetsBuilder(0).getMetadataBuilder().setTransaction(begun);
      }
      return answer.build();
    }

    private Transaction begin(String session, TransactionOptions options) {
      boolean serializable = options.getIsolationLevel() != TransactionOptions.IsolationLevel.REPEATABLE_READ;
      if (!options.hasReadWrite() || !serializable) {
        throw refusal(Status.UNIMPLEMENTED, "there are read-write transactions only, and they are serializable");
      }
      ByteString id = ByteString.copyFromUtf8(Long.toString(numbers.incrementAndGet()));
      transactions.put(id, new ReadWrite(database(session)));
      return Transaction.newBuilder().setId(id).build();
    }

    private ReadWrite transaction(ByteString id) {
      ReadWrite transaction = transactions.get(id);
      if (transaction == null) {
        throw refusal(Status.NOT_FOUND, "Transaction not found: " + id.toStringUtf8());
      }
      return transaction;
    }

    @Override
    public void beginTransaction(BeginTransactionRequest request, StreamObserver<Transaction> reply) {
      answer(reply, () -> begin(request.getSession(), request.getOptions()));
    }

    @Override
    public void commit(CommitRequest request, StreamObserver<CommitResponse> reply) {
      answer(reply, () -> {
        if (request.getMutationsCount() > 0 || request.hasSingleUseTransaction()) {
          throw refusal(Status.UNIMPLEMENTED, "there are no mutations");
        }
        return transaction(request.getTransactionId()).commit();
      });
    }

    @Override
    public void rollback(RollbackRequest request, StreamObserver<Empty> reply) {
      answer(reply, () -> {
        transaction(request.getTransactionId()).rollback();
        return Empty.getDefaultInstance();
      });
    }
  }
}

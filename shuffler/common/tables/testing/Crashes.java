package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import javax.sql.DataSource;

/** Ends a process just before, or just after, one of the effects that it has on the rest of the world. */
public final class Crashes {
  /** The end. It is no exception, so nobody goes on after it. */
  public static final class Crash extends Error {
    private static final long serialVersionUID = 1;

    Crash() {
      super("crash", null, false, false);
    }
  }

  private static final int NEVER = Integer.MAX_VALUE;

  private final AtomicInteger left = new AtomicInteger(NEVER);

  /** Lets a number of points pass, and crashes at the next one, once. */
  public void arm(int points) {
    left.set(points);
  }

  /** Lets all points pass. */
  public void disarm() {
    left.set(NEVER);
  }

  /** A port that crashes before and after the calls of some methods. */
  public <T> T around(Class<T> type, T port, Set<String> methods) {
    return type.cast(Proxy.newProxyInstance(Crashes.class.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
      boolean effect = methods.contains(method.getName());
      if (effect) {
        point();
      }
      try {
        Object result = method.invoke(port, arguments);
        if (effect) {
          point();
        }
        return result;
      } catch (InvocationTargetException thrown) {
        throw thrown.getCause();
      }
    }));
  }

  /** Connections that crash before and after their transactions are committed, and before statements. */
  public DataSource around(DataSource source) {
    return (DataSource) Proxy.newProxyInstance(
        Crashes.class.getClassLoader(), new Class<?>[] {DataSource.class}, (proxy, method, arguments) -> {
          Object result = method.invoke(source, arguments);
          return result instanceof Connection connection
              ? around(Connection.class, connection, Set.of("commit", "prepareStatement"))
              : result;
        });
  }

  private void point() {
    if (left.get() != NEVER && left.getAndDecrement() == 0) {
      disarm();
      throw new Crash();
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.testing;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.LocalOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.testing.PrivatePostgres;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.BoundedCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.NotReadyException;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/** A service without an API as it runs on one machine: all its beans, real tables and blobs. */
public final class LocalService implements AutoCloseable {
  /** How long something may take. */
  public static final long SECONDS = 120;

  private final PrivatePostgres postgres = PrivatePostgres.start();
  private final AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext();

  /**
   * Starts, and waits until it is ready.
   *
   * @param configuration of the service
   * @param options of the service, in one line
   * @param folder of the blobs
   */
  public LocalService(Class<?> configuration, String options, Path folder) throws InterruptedException {
    context.getEnvironment().setActiveProfiles("local");
    OptionValues fcp = FcpOptions.TABLE.parse(options);
    OptionValues local = LocalOptions.TABLE.parse("--database_url " + postgres.newDatabase() + " --metrics_database_url "
        + postgres.newDatabase() + " --database_user test --database_password '' --blob_folder " + folder
        + " --public_url http://127.0.0.1:8083");
    context.registerBean("fcpOptions", OptionValues.class, () -> fcp);
    context.registerBean("localOptions", OptionValues.class, () -> local);
    context.registerBean(Clock.class, Clock::systemUTC);
    context.registerBean(MeterRegistry.class, SimpleMeterRegistry::new);
    context.register(configuration);
    context.refresh();
    await(this::ready);
  }

  /** A bean of the service. */
  public <T> T get(Class<T> type) {
    return context.getBean(type);
  }

  /** A bean of which there are several. */
  public <T> T get(String name, Class<T> type) {
    return context.getBean(name, type);
  }

  /** Waits until something is so. */
  public static void await(BooleanSupplier condition) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("nothing happened for " + SECONDS + " s");
      }
      Thread.sleep(20);
    }
  }

  private boolean ready() {
    try {
      for (BoundedCheck check : context.getBeansOfType(BoundedCheck.class).values()) {
        check.check();
      }
      return true;
    } catch (NotReadyException notYet) {
      return false;
    }
  }

  @Override
  public void close() {
    context.close();
    postgres.close();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.InvalidOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.gcp.CloudOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.gcp.CloudOptionsException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.HealthController;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.ReadinessCheck;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.ServiceName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.WebConfiguration;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.support.GenericApplicationContext;

/**
 * Starts a service.
 *
 * <p>First its environment is read and what it needs of the machine is checked. If that fails, one line goes to standard error, and the
 * exit code is 64 for a wrong environment or command line, 1 otherwise. Then Spring starts; the application sees its options as beans
 * {@code fcpOptions}, {@code securityOptions}, {@code encryptionOptions} and {@code localOptions}. On SIGTERM, requests under way are finished, and the exit code
 * is 143, as the JVM has it.
 */
public final class ServiceApplication {
  private ServiceApplication() {}

  /**
   * Starts a service; what its main method does.
   *
   * @param application the Spring Boot application
   * @param name as answers show it
   * @param port where it listens, unless PORT says otherwise
   * @param needs the options that it cannot do without, for what is given of the others
   * @param arguments of the command line; there are none
   * @param checks what the service needs of the machine; each is made before Spring starts, and may throw StartException
   */
  @SafeVarargs
  public static void run(
      Class<?> application,
      String name,
      int port,
      Function<StartOptions, List<Option<?>>> needs,
      String[] arguments,
      Supplier<? extends ReadinessCheck>... checks) {
    try {
      if (arguments.length > 0) {
        throw StartException.usage("the command line takes no arguments; see FCP_OPTS");
      }
      StartOptions given = StartOptions.of(System.getenv(), port);
      start(application, name, given.profile() == Profile.GCP ? completed(given, needs) : required(given, needs), List.of(checks));
    } catch (StartException problem) {
      System.err.println(name + " cannot start: " + problem.getMessage());
      System.exit(problem.exitCode());
    }
  }

  private static StartOptions required(StartOptions options, Function<StartOptions, List<Option<?>>> needs) {
    options.require(needs.apply(options));
    return options;
  }

  /** Looks in Google Cloud for what the variables do not give; the client goes on, since other options are read later. */
  private static StartOptions completed(StartOptions given, Function<StartOptions, List<Option<?>>> needs) {
    CloudOptions cloud = new CloudOptions(given.fcp(), given.security());
    try {
      return required(given.with(cloud.fcp(), cloud.security()), needs);
    } catch (InvalidOptionsException malformed) {
      throw StartException.usage(malformed.getMessage());
    } catch (CloudOptionsException unknown) {
      throw StartException.failure(unknown.getMessage());
    }
  }

  static ConfigurableApplicationContext start(
      Class<?> application, String name, StartOptions options, List<Supplier<? extends ReadinessCheck>> checks) {
    List<? extends ReadinessCheck> made = checks.stream().map(Supplier::get).toList();
    SpringApplication spring = new SpringApplication(application, HealthController.class, WebConfiguration.class);
    spring.setAddCommandLineProperties(false);
    spring.setEnvironment(new SealedEnvironment(Map.of(
        "spring.application.name", name,
        "spring.config.location", "classpath:/application.properties",
        "spring.profiles.active", options.profile().lowerCase(),
        "server.port", options.port())));
    spring.addInitializers(context -> {
      GenericApplicationContext beans = (GenericApplicationContext) context;
      beans.registerBean(ServiceName.class, () -> new ServiceName(name));
      beans.registerBean(Profile.class, options::profile);
      beans.registerBean(Clock.class, Clock::systemUTC);
      beans.registerBean("fcpOptions", OptionValues.class, options::fcp);
      beans.registerBean("securityOptions", OptionValues.class, options::security);
      beans.registerBean("encryptionOptions", OptionValues.class, options::encryption);
      beans.registerBean("localOptions", OptionValues.class, options::local);
      for (ReadinessCheck check : made) {
        beans.registerBean(check.getClass().getSimpleName(), ReadinessCheck.class, () -> check);
      }
    });
    return spring.run();
  }
}

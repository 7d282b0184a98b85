package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.SecurityOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Clock;
import java.util.List;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.servlet.config.annotation.InterceptorRegistry;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;

/** Authentication of devices, if {@code SECURITY_OPTS} asks for it. */
@Configuration(proxyBeanMethods = false)
public class AuthenticationConfiguration {
  /** The options without which it cannot be done. */
  public static List<Option<?>> needs(StartOptions options) {
    return enabled(options.security())
        ? List.of(SecurityOptions.KEY_ATTESTATION_VALIDATION_BASE_URL, SecurityOptions.KEY_ATTESTATION_API_KEY)
        : List.of();
  }

  @Bean
  WebMvcConfigurer deviceAuthentication(
      @Qualifier("securityOptions") OptionValues security,
      @Qualifier("taskDatabase") Database database,
      MeterRegistry meters,
      Clock clock) {
    return new WebMvcConfigurer() {
      @Override
      public void addInterceptors(InterceptorRegistry registry) {
        if (enabled(security)) {
          AttestationService service = new AttestationService(
              security.get(SecurityOptions.KEY_ATTESTATION_VALIDATION_BASE_URL).orElseThrow(),
              security.get(SecurityOptions.KEY_ATTESTATION_API_KEY).orElseThrow(),
              security.get(SecurityOptions.ALLOW_ROOTED_DEVICES).orElseThrow());
          registry.addInterceptor(new Authentication(new AuthorizationTokens(database), service, meters, clock))
              .addPathPatterns("/taskassignment/**");
        }
      }
    };
  }

  private static boolean enabled(OptionValues security) {
    return security.get(SecurityOptions.IS_AUTHENTICATION_ENABLED).orElseThrow();
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import java.util.Map;
import org.springframework.core.env.MapPropertySource;
import org.springframework.core.env.MutablePropertySources;
import org.springframework.core.env.StandardEnvironment;

/**
 * A Spring environment that only the image decides: settings of the class path, and a few given here. Environment variables, system
 * properties, command line, SPRING_APPLICATION_JSON and files beside the jar, which Spring Boot would read, are no sources of it.
 */
final class SealedEnvironment extends StandardEnvironment {
  SealedEnvironment(Map<String, Object> settings) {
    getPropertySources().addFirst(new MapPropertySource("service", settings));
  }

  @Override
  protected void customizePropertySources(MutablePropertySources propertySources) {
    // The machine's environment variables and system properties stay out.
  }
}

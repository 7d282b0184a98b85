package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

import org.springframework.boot.web.embedded.tomcat.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;

/** What a service with an HTTP API imports. */
@Configuration(proxyBeanMethods = false)
@Import({ApiErrors.class, LimitedBodies.class, Reasons.class})
public class ApiConfiguration {
  @Bean
  CorrelationId correlationId() {
    return new CorrelationId();
  }

  @Bean
  WebServerFactoryCustomizer<TomcatServletWebServerFactory> refusedRequests() {
    return server -> server.addEngineValves(new RefusedRequests());
  }
}

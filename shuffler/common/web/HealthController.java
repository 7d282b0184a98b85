package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

import java.util.List;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/**
 * What load balancers and instance groups ask.
 *
 * <p>{@code /healthz} only says that the process answers: a virtual machine that fails it is replaced. {@code /ready} says whether the
 * service has what it needs: 200, or 503. Below the greeting it has a line for each thing.
 */
@RestController
public class HealthController {
  private final ServiceName name;
  private final List<ReadinessCheck> checks;

  public HealthController(ServiceName name, List<ReadinessCheck> checks) {
    this.name = name;
    this.checks = checks;
  }

  @GetMapping(path = "/healthz", produces = MediaType.TEXT_PLAIN_VALUE)
  public String health() {
    return greeting("Health check.");
  }

  @GetMapping(path = "/ready", produces = MediaType.TEXT_PLAIN_VALUE)
  public ResponseEntity<String> ready() {
    HttpStatus status = HttpStatus.OK;
    StringBuilder body = new StringBuilder(greeting("Ready check."));
    for (ReadinessCheck check : checks) {
      try {
        body.append(check.check()).append('\n');
      } catch (NotReadyException missing) {
        status = HttpStatus.SERVICE_UNAVAILABLE;
        body.append("Not ready: ").append(missing.getMessage()).append('\n');
      }
    }
    return ResponseEntity.status(status).body(body.toString());
  }

  private String greeting(String subject) {
    return "Greetings from " + name.value() + " Spring Boot! " + subject + " \n";
  }
}

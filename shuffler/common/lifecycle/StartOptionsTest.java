package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StartOptionsTest {
  @Test
  void emptyEnvironmentMeansGcpAndTheServicesOwnPort() {
    StartOptions options = StartOptions.of(Map.of(), 8083);
    assertThat(options.profile()).isEqualTo(Profile.GCP);
    assertThat(options.port()).isEqualTo(8083);
    assertThat(options.fcp().get(FcpOptions.COLLECTOR_BATCH_SIZE)).contains(50);
  }

  @Test
  void environmentIsRead() {
    StartOptions options =
        StartOptions.of(Map.of("SPRING_PROFILES_ACTIVE", "local", "PORT", "0", "FCP_OPTS", "--collector_batch_size '3'"), 8082);
    assertThat(options.profile()).isEqualTo(Profile.LOCAL);
    assertThat(options.port()).isZero();
    assertThat(options.fcp().get(FcpOptions.COLLECTOR_BATCH_SIZE)).contains(3);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
    "SPRING_PROFILES_ACTIVE | ~~        | SPRING_PROFILES_ACTIVE: expected gcp or local, found ''",
    "SPRING_PROFILES_ACTIVE | GCP       | SPRING_PROFILES_ACTIVE: expected gcp or local, found 'GCP'",
    "SPRING_PROFILES_ACTIVE | gcp,local | SPRING_PROFILES_ACTIVE: expected gcp or local, found 'gcp,local'",
    "PORT                   | 65536     | PORT: expected a number from 0 to 65535, found '65536'",
    "PORT                   | -1        | PORT: expected a number from 0 to 65535, found '-1'",
    "FCP_OPTS               | --x 'y'   | FCP_OPTS: unknown option --x",
    "SECURITY_OPTS          | --x 'y'   | SECURITY_OPTS: unknown option --x",
    "ENCRYPTION_OPTS        | --x 'y'   | ENCRYPTION_OPTS: unknown option --x",
  })
  void malformedVariableIsNamedAndIsAnErrorOfUsage(String variable, String value, String message) {
    assertThatThrownBy(() -> StartOptions.of(Map.of(variable, value), 8082))
        .isInstanceOfSatisfying(StartException.class, problem -> {
          assertThat(problem).hasMessage(message);
          assertThat(problem.exitCode()).isEqualTo(64);
        });
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.ApiConfiguration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobStore;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.LocalBlobServer;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.TaskTables;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.FcpOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.OptionValues;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iterations;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api.AssignmentController.Lifetimes;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.api.CheckIn;
import com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication.AuthenticationConfiguration;
import java.security.SecureRandom;
import java.time.Clock;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;

/** Gives tasks to devices and takes their results. In the profile local it also serves the blobs. */
@SpringBootApplication
@Import({ApiConfiguration.class, BlobStore.class, LocalBlobServer.class, TaskTables.class})
public class TaskAssignmentApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(TaskAssignmentApplication.class, "Task Assignment", 8083, TaskAssignmentApplication::needs, arguments);
  }

  private static List<Option<?>> needs(StartOptions options) {
    return Stream.of(AuthenticationConfiguration.needs(options), BlobStore.needs(options), TaskTables.needs(options))
        .<Option<?>>flatMap(List::stream)
        .toList();
  }

  @Bean
  CheckIn checkIn(Iterations iterations, Assignments assignments, Clock clock) {
    return new CheckIn(iterations, assignments, clock, new SecureRandom());
  }

  @Bean
  Lifetimes lifetimes(@Qualifier("fcpOptions") OptionValues fcp) {
    return new Lifetimes(
        fcp.get(FcpOptions.DOWNLOAD_PLAN_TOKEN_DURATION).orElseThrow(),
        fcp.get(FcpOptions.DOWNLOAD_CHECKPOINT_TOKEN_DURATION).orElseThrow(),
        fcp.get(FcpOptions.UPLOAD_GRADIENT_TOKEN_DURATION).orElseThrow());
  }
}

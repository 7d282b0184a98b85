package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.ApiConfiguration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.BlobNames;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.backend.TaskTables;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartOptions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Option;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Import;

/** Creates tasks and shows them. */
@SpringBootApplication
@Import({ApiConfiguration.class, BlobNames.class, TaskTables.class})
public class TaskManagementApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(TaskManagementApplication.class, "Task Management", 8082, TaskManagementApplication::needs, arguments);
  }

  private static List<Option<?>> needs(StartOptions options) {
    return Stream.of(BlobNames.NEEDS, TaskTables.needs(options)).<Option<?>>flatMap(List::stream).toList();
  }
}

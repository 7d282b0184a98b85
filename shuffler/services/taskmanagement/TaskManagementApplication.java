package com.google.ondevicepersonalization.federatedcompute.shuffler.taskmanagement;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Creates tasks and shows them. */
@SpringBootApplication
public class TaskManagementApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(TaskManagementApplication.class, "Task Management", 8082, arguments);
  }
}

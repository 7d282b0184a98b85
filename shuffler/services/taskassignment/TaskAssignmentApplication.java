package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Gives tasks to devices and takes their results. */
@SpringBootApplication
public class TaskAssignmentApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(TaskAssignmentApplication.class, "Task Assignment", 8083, arguments);
  }
}

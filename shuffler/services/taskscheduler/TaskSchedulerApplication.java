package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tensorflow.TensorflowCheck;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Import;

/** Opens tasks and creates their iterations. */
@SpringBootApplication
@Import(SchedulerConfiguration.class)
public class TaskSchedulerApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(
        TaskSchedulerApplication.class, "Task Scheduler", 8082, SchedulerConfiguration::needs, arguments, TensorflowCheck::run);
  }
}

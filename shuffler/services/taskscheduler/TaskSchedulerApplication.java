package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.ServiceApplication;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tensorflow.TensorflowCheck;
import java.util.List;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Opens tasks and creates their iterations. */
@SpringBootApplication
public class TaskSchedulerApplication {
  public static void main(String[] arguments) {
    ServiceApplication.run(TaskSchedulerApplication.class, "Task Scheduler", 8082, options -> List.of(), arguments, TensorflowCheck::run);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tensorflow;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle.StartException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.web.ReadinessCheck;
import com.google.fcp.tensorflow.TensorflowException;
import com.google.fcp.tensorflow.TensorflowSession;

/** The service runs TensorFlow: it loaded the library and executed a small graph before it started. */
public final class TensorflowCheck implements ReadinessCheck {
  private final String version;

  private TensorflowCheck(String version) {
    this.version = version;
  }

  /**
   * Loads the library and executes a small graph.
   *
   * @throws StartException if either fails
   */
  public static TensorflowCheck run() {
    try {
      return new TensorflowCheck(TensorflowSession.checkTensorflow());
    } catch (UnsatisfiedLinkError | TensorflowException problem) {
      throw StartException.failure("TensorFlow (libtensorflow-jni.so): " + problem.getMessage());
    }
  }

  @Override
  public String check() {
    return "TensorFlow " + version + " executed a graph.";
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

import org.springframework.boot.diagnostics.FailureAnalysis;
import org.springframework.boot.diagnostics.FailureAnalyzer;

/**
 * What stops a start and is an exception of our own says in one line what is wrong, such as an option in Secret Manager or missing
 * credentials: the log then has that line instead of a stack trace.
 */
final class OwnFailures implements FailureAnalyzer {
  private static final String OURS = "com.google.ondevicepersonalization.federatedcompute.";

  @Override
  public FailureAnalysis analyze(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause.getClass().getName().startsWith(OURS)) {
        return new FailureAnalysis(cause.getMessage(), null, cause);
      }
    }
    return null;
  }
}

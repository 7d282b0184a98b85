package com.google.ondevicepersonalization.federatedcompute.shuffler.common.lifecycle;

/** A service cannot start. The message is one line for its standard error; there is no stack trace to show. */
public final class StartException extends RuntimeException {
  /** EX_USAGE of sysexits.h. */
  private static final int USAGE = 64;

  private static final int FAILURE = 1;

  private final int exitCode;

  private StartException(int exitCode, String message) {
    super(message);
    this.exitCode = exitCode;
  }

  /** The environment or the command line is wrong. */
  static StartException usage(String message) {
    return new StartException(USAGE, message);
  }

  /** Something that the service needs to start is missing or broken. */
  public static StartException failure(String message) {
    return new StartException(FAILURE, message);
  }

  int exitCode() {
    return exitCode;
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

/** Receives messages until it is closed. */
public interface Subscription extends AutoCloseable {
  /** Takes no more messages, and waits a bounded time for those that are being handled. */
  @Override
  void close();
}

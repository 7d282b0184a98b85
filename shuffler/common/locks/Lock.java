package com.google.ondevicepersonalization.federatedcompute.shuffler.common.locks;

/** A lock that is held until it is closed; closing it again does nothing. */
public interface Lock extends AutoCloseable {
  /** Releases it. If the database cannot be reached, the lease runs out by itself. */
  @Override
  void close();
}

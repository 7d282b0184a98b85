package com.google.ondevicepersonalization.federatedcompute.shuffler.common.web;

/** Something that a service needs to do its work. */
public interface ReadinessCheck {
  /**
   * Looks whether it is there.
   *
   * @return one line for people that says what is there
   * @throws NotReadyException if it is not
   */
  String check() throws NotReadyException;
}

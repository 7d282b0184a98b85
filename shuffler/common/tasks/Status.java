package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

/** A state with the number that it has in the database. */
interface Status {
  long code();

  /**
   * The state with a number.
   *
   * @throws IllegalStateException if there is none: another version of the services wrote it
   */
  static <S extends Enum<S> & Status> S of(Class<S> states, long code) {
    for (S state : states.getEnumConstants()) {
      if (state.code() == code) {
        return state;
      }
    }
    throw new IllegalStateException("the database has the unknown " + states.getSimpleName() + " " + code);
  }
}

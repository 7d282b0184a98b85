package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import java.util.Optional;
import java.util.function.Function;

/**
 * One option: its name on the command line without the dashes, how its value is read, and what holds without it.
 *
 * @param <T> type of the value
 */
public record Option<T>(String name, String expected, Function<String, Optional<T>> parser, Optional<T> defaultValue) {

  /** An option without default. {@code expected} says in an error what a value has to be. */
  static <T> Option<T> of(String name, String expected, Function<String, Optional<T>> parser) {
    return new Option<>(name, expected, parser, Optional.empty());
  }

  Option<T> withDefault(T value) {
    return new Option<>(name, expected, parser, Optional.of(value));
  }
}

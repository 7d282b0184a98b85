package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import java.util.Map;
import java.util.Optional;

/** The values of the options of one table. */
public final class OptionValues {
  private final Map<Option<?>, Object> values;

  OptionValues(Map<Option<?>, Object> values) {
    this.values = Map.copyOf(values);
  }

  /** The given value, or the default, or nothing. */
  @SuppressWarnings("unchecked") // OptionTable puts in what the option's own parser made.
  public <T> Optional<T> get(Option<T> option) {
    Optional<T> given = Optional.ofNullable((T) values.get(option));
    return given.isPresent() ? given : option.defaultValue();
  }

  /** The names of the options that were given; values may be secrets. */
  @Override
  public String toString() {
    return values.keySet().stream().map(Option::name).sorted().toList().toString();
  }
}

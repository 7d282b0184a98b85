package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/** The values of the options of one table. */
public final class OptionValues {
  private final Map<Option<?>, Object> values;
  private final Function<Option<?>, Optional<?>> elsewhere;

  OptionValues(Map<Option<?>, Object> values) {
    this(values, option -> Optional.empty());
  }

  private OptionValues(Map<Option<?>, Object> values, Function<Option<?>, Optional<?>> elsewhere) {
    this.values = Map.copyOf(values);
    this.elsewhere = elsewhere;
  }

  /**
   * The same values, and another place to look for those that are not given, when they are first asked for. What it says is remembered.
   *
   * @param source gives a value as the option's own parser makes it; its exceptions are those of {@link #get}
   */
  public OptionValues or(Function<Option<?>, Optional<?>> source) {
    Map<Option<?>, Optional<?>> found = new ConcurrentHashMap<>();
    return new OptionValues(values, option -> {
      // Not computeIfAbsent: a source may read other options, to know where to look.
      Optional<?> known = found.get(option);
      if (known == null) {
        known = source.apply(option);
        found.put(option, known);
      }
      return known;
    });
  }

  /** The given value, or the default, or nothing. */
  @SuppressWarnings("unchecked") // OptionTable and sources put in what the option's own parser made.
  public <T> Optional<T> get(Option<T> option) {
    Optional<T> given = Optional.ofNullable((T) values.get(option)).or(() -> (Optional<T>) elsewhere.apply(option));
    return given.isPresent() ? given : option.defaultValue();
  }

  /** The names of the options that were given; values may be secrets. */
  @Override
  public String toString() {
    return values.keySet().stream().map(Option::name).sorted().toList().toString();
  }
}

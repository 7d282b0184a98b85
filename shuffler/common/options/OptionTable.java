package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The options that one environment variable may hold.
 *
 * <p>Grammar: {@code --name 'value' --name value ...}. A value between single quotes may hold everything but a single quote; a value
 * without quotes holds neither spaces nor quotes, and does not begin with two dashes. Every option has a value, and is given at most once.
 * Nothing is expanded: no files, no variables, no escapes.
 */
public final class OptionTable {
  private final String variable;
  private final Map<String, Option<?>> options;

  OptionTable(String variable, List<Option<?>> options) {
    this.variable = variable;
    this.options = options.stream().collect(Collectors.toUnmodifiableMap(Option::name, Function.identity()));
  }

  /** The environment variable. */
  public String variable() {
    return variable;
  }

  /** Whether an option is one of these. */
  public boolean contains(Option<?> option) {
    return option.equals(options.get(option.name()));
  }

  /** All options, in no order. */
  public Iterable<Option<?>> options() {
    return options.values();
  }

  /**
   * Reads the variable's text.
   *
   * @throws InvalidOptionsException if it is malformed, or an option is unknown, repeated, without value, or not of its type
   */
  public OptionValues parse(String text) {
    Map<Option<?>, Object> values = new HashMap<>();
    Scanner scanner = new Scanner(text);
    while (scanner.skipSpace()) {
      int start = scanner.position;
      String word = scanner.bareWord();
      // Only names are shown: any other word may be a piece of a secret that lost its quotes.
      if (!word.matches("--[a-z][a-z0-9_]*")) {
        throw invalid("character %d: expected an option, as in --name 'value'", start + 1);
      }
      Option<?> option = options.get(word.substring(2));
      if (option == null) {
        throw invalid("unknown option %s", word);
      }
      Object parsed = parseValue(option, scanner);
      if (values.put(option, parsed) != null) {
        throw invalid("%s is given twice", word);
      }
    }
    return new OptionValues(values);
  }

  private Object parseValue(Option<?> option, Scanner scanner) {
    boolean spaced = scanner.position == scanner.text.length() || Character.isWhitespace(scanner.text.charAt(scanner.position));
    if (!spaced) {
      throw invalid("--%s: expected a space between the name and the value", option.name());
    }
    if (!scanner.skipSpace() || scanner.text.startsWith("--", scanner.position)) {
      throw invalid("--%s: value is missing, expected %s", option.name(), option.expected());
    }
    Optional<String> value = scanner.value();
    if (value.isEmpty()) {
      throw invalid("--%s: malformed quotes, expected 'value' followed by a space or the end", option.name());
    }
    return option.parser()
        .apply(value.get())
        .orElseThrow(() -> invalid("--%s: expected %s, found '%s'", option.name(), option.expected(), oneLine(value.get())));
  }

  private static String oneLine(String value) {
    return value.replaceAll("\\p{Cntrl}", "?");
  }

  private InvalidOptionsException invalid(String format, Object... arguments) {
    return new InvalidOptionsException(variable + ": " + String.format(format, arguments));
  }

  /** A position in the text. */
  private static final class Scanner {
    private final String text;
    private int position;

    Scanner(String text) {
      this.text = text;
    }

    /** Skips white space; false at the end. */
    boolean skipSpace() {
      while (position < text.length() && Character.isWhitespace(text.charAt(position))) {
        position++;
      }
      return position < text.length();
    }

    String bareWord() {
      int start = position;
      while (position < text.length() && !Character.isWhitespace(text.charAt(position)) && !isQuote(text.charAt(position))) {
        position++;
      }
      return text.substring(start, position);
    }

    /** A value with or without quotes; empty if it is malformed. */
    Optional<String> value() {
      String value;
      if (text.charAt(position) == '\'') {
        int end = text.indexOf('\'', position + 1);
        if (end < 0) {
          return Optional.empty();
        }
        value = text.substring(position + 1, end);
        position = end + 1;
      } else {
        value = bareWord();
      }
      boolean ended = position == text.length() || Character.isWhitespace(text.charAt(position));
      return ended ? Optional.of(value) : Optional.empty();
    }

    private static boolean isQuote(char c) {
      return c == '\'' || c == '"';
    }
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

/** Names in requests, which become keys of tables and parts of the names of blobs. */
public final class Names {
  private static final int LONGEST = 64;

  private Names() {}

  /**
   * Checks a name.
   *
   * @param what it names, for the message
   * @return the name
   * @throws InvalidRequestException if it is empty, longer than 64 characters, has a slash, two dots one after the other, a control
   *     character or half of a surrogate pair, or is a dot
   */
  public static String check(String what, String name) {
    boolean bad = name.isEmpty()
        || name.length() > LONGEST
        || name.contains("/")
        || name.contains("..")
        || name.equals(".")
        || name.codePoints().anyMatch(c -> Character.isISOControl(c) || Character.getType(c) == Character.SURROGATE);
    if (bad) {
      throw new InvalidRequestException(
          what + ": expected 1 to " + LONGEST + " characters without /, .. and control characters, found " + name.length() + " characters");
    }
    return name;
  }

  /**
   * Reads the number of a task or iteration in a path.
   *
   * @throws InvalidRequestException if it is no whole number
   */
  public static long number(String what, String text) {
    if (!text.matches("[0-9]{1,18}")) {
      throw new InvalidRequestException(what + ": expected a whole number, found " + text.length() + " characters");
    }
    return Long.parseLong(text);
  }
}

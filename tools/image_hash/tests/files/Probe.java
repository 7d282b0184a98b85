package files;

import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.stream.Collectors;

/** A class with most of what class files can hold; its variants differ in exactly one thing each (BUILD.bazel). */
public class Probe {
  private static final String MADE = "at /home/alice/work/Probe.java";

  /** A nested enum, for a switch. */
  enum Kind {
    SQUARE,
    DOUBLE
  }

  /** An annotation with elements of several kinds. */
  @interface Sample {
    String[] names() default {"a", "b"};

    Kind kind() default Kind.SQUARE;
  }

  @Sample(kind = Kind.DOUBLE)
  static IntUnaryOperator operator(Kind kind) {
    switch (kind) {
      case SQUARE:
        return number -> number * number;
      default:
        return number -> 2 * number;
    }
  }

  @Deprecated
  <T extends Comparable<T>> List<T> sorted(List<T> items) throws IllegalStateException {
    if (items == null) {
      throw new IllegalStateException(MADE);
    }
    long big = 1L << 40;
    double half = 0.5;
    try {
      return items.stream().filter(item -> item.hashCode() * half < big).sorted().collect(Collectors.toList());
    } finally {
      System.out.println("sorted " + items.size() + " by " + getClass());
    }
  }
}

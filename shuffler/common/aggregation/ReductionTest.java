package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sums that are texts: they show in which order things were added. */
class ReductionTest {
  private final ExecutorService threads = Executors.newFixedThreadPool(4);
  private final Reduction reduction = new Reduction(threads, 3);
  private final List<Concatenation> made = Collections.synchronizedList(new ArrayList<>());

  /** "Adds" by writing one after the other. */
  private static final class Concatenation implements Aggregation {
    private final StringBuilder text = new StringBuilder();
    private boolean closed;

    @Override
    public void addContribution(byte[] checkpoint) throws RejectedException {
      String piece = new String(checkpoint, StandardCharsets.UTF_8);
      if (piece.startsWith("bad")) {
        throw new RejectedException("bad", null);
      }
      text.append(piece);
    }

    @Override
    public void addIntermediate(byte[] intermediate) {
      text.append('(').append(new String(intermediate, StandardCharsets.UTF_8)).append(')');
    }

    @Override
    public byte[] toIntermediate() {
      return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  @AfterEach
  void stop() {
    threads.shutdownNow();
  }

  private Concatenation begin() {
    Concatenation fresh = new Concatenation();
    made.add(fresh);
    return fresh;
  }

  private static Optional<Reduction.Refusal> add(String piece, int index, Aggregation to) {
    try {
      to.addContribution(piece.getBytes(StandardCharsets.UTF_8));
      return Optional.empty();
    } catch (RejectedException refused) {
      return Optional.of(new Reduction.Refusal(index, Reduction.Refusal.Kind.NOT_AGGREGATED, refused.getMessage()));
    }
  }

  private String sum(List<String> pieces) throws Exception {
    Reduction.Result result = reduction.run(pieces.size(), (index, to) -> add(pieces.get(index), index, to), this::begin);
    try (Aggregation total = result.total()) {
      assertThat(result.refusals()).extracting(Reduction.Refusal::index).isSorted();
      return new String(total.toIntermediate(), StandardCharsets.UTF_8) + " without " + result.refusals().size();
    } finally {
      assertThat(made).allMatch(sum -> sum.closed);
    }
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "1  | a",
    "2  | ab",
    "3  | (ab)(c)",
    "4  | (ab)(cd)",
    "5  | (abc)(de)",
    "10 | (abcd)(efgh)(ij)",
  })
  void inputsAreSummedInChunksAndMergedInTheirOrder(int count, String expected) throws Exception {
    List<String> pieces = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      pieces.add(Character.toString('a' + i));
    }
    assertThat(sum(pieces)).isEqualTo(expected + " without 0");
  }

  @Test
  void refusedInputsAreToldAndTheOthersCount() throws Exception {
    assertThat(sum(List.of("a", "bad", "c", "bad", "bad", "bad", "g", "h", "i"))).isEqualTo("(ac)(ghi) without 4");
    assertThat(sum(List.of("bad"))).isEqualTo(" without 1");
  }

  @Test
  void nothingComesOutIfAnInputCannotBeHadNow() {
    assertThatThrownBy(() -> reduction.run(
            9,
            (index, to) -> {
              if (index == 5) {
                throw new IllegalStateException("later");
              }
              return add("x", index, to);
            },
            this::begin))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("later");
    assertThat(made.get(0).closed).isTrue();
  }

  @Test
  void noMoreChunksAreHeldThanTheWindow() throws Exception {
    AtomicInteger open = new AtomicInteger();
    AtomicInteger most = new AtomicInteger();
    Reduction.Result result = reduction.run(
        400,
        (index, to) -> {
          if (index % 20 == 0) {
            most.accumulateAndGet(open.incrementAndGet(), Math::max);
          }
          if (index % 20 == 19) {
            open.decrementAndGet();
          }
          return add("x", index, to);
        },
        this::begin);
    result.total().close();
    assertThat(most.get()).isBetween(1, 3);
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Names a batch in messages: {@code <population>/<task>/<iteration>/<attempt>_<batch>}. */
record RequestId(IterationKey iteration, String batch) {
  private static final Pattern FORM = Pattern.compile("([^/]+)/([0-9]{1,18})/([0-9]{1,18})/([0-9]{1,18})_([^/_]{1,64})");

  /** Reads the text; nothing if it is none of ours. */
  static Optional<RequestId> parse(String text) {
    Matcher form = FORM.matcher(text);
    return form.matches()
        ? Optional.of(new RequestId(
            new IterationKey(new TaskKey(form.group(1), number(form.group(2))), number(form.group(3)), number(form.group(4))),
            form.group(5)))
        : Optional.empty();
  }

  @Override
  public String toString() {
    return iteration + "_" + batch;
  }

  private static long number(String digits) {
    return Long.parseLong(digits);
  }
}

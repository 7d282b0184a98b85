package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.ModelUpdaterMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.BatchStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches.Contributions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import com.google.ondevicepersonalization.federatedcompute.proto.EvaluationInfo;
import com.google.ondevicepersonalization.federatedcompute.proto.IterationInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** What a pass does for an iteration that is aggregated: finds sums of batches, and hands them on when there are enough. */
public final class Aggregating {
  private static final int MOST_BATCHES = 1000;

  private final Batches batches;
  private final Transitions transitions;
  private final Presence presence;
  private final BlobLayout layout;
  private final Messages messages;
  private final CollectorSettings settings;

  /** Of iterations with more batches under way than a pass looks at: the last one that was looked at. */
  private final Map<IterationKey, String> positions = new ConcurrentHashMap<>();

  public Aggregating(
      Batches batches,
      Transitions transitions,
      Presence presence,
      BlobLayout layout,
      Messages messages,
      CollectorSettings settings) {
    this.batches = batches;
    this.transitions = transitions;
    this.presence = presence;
    this.layout = layout;
    this.messages = messages;
    this.settings = settings;
  }

  /** Forgets about all iterations but some. */
  void retain(Set<IterationKey> iterations) {
    positions.keySet().retainAll(iterations);
  }

  void run(Iteration iteration) {
    IterationKey key = iteration.key();
    long goal = iteration.settings().reportGoal();
    Contributions contributions = batches.contributions(key);
    if (transitions.setBack(iteration, contributions)) {
      return;
    }
    // Once there is enough, no sum is added any more: if the message is sent again after a crash, it is the same.
    if (contributions.aggregated() < goal) {
      findSums(iteration);
      contributions = batches.contributions(key);
    }
    if (contributions.aggregated() >= goal) {
      messages.publish(settings.modelUpdaterTopic(), message(iteration).toMessage());
      transitions.move(iteration, IterationStatus.APPLYING, 2, contributions);
    }
  }

  private void findSums(Iteration iteration) {
    IterationKey key = iteration.key();
    List<String> published =
        batches.withStatus(key, BatchStatus.PUBLISH_COMPLETED, positions.getOrDefault(key, ""), MOST_BATCHES);
    for (String batch : presence.of(published, one -> sum(iteration, one))) {
      transitions.move(key, batch, BatchStatus.PUBLISH_COMPLETED, BatchStatus.UPLOAD_COMPLETED);
    }
    if (published.size() == MOST_BATCHES) {
      positions.put(key, published.get(MOST_BATCHES - 1));
    } else {
      positions.remove(key);
    }
  }

  private BlobName sum(Iteration iteration, String batch) {
    return layout.aggregate(iteration.key().task(), iteration.settings().result(), Batches.LEVEL, batch);
  }

  private ModelUpdaterMessage message(Iteration iteration) {
    TaskKey task = iteration.key().task();
    long result = iteration.settings().result();
    List<String> sums = aggregated(iteration.key());
    BlobName plan = layout.serverPlan(task);
    BlobName metrics = layout.metrics(task, result);
    String prefix = layout.aggregates(task, result, Batches.LEVEL) + "/";
    IterationInfo info = iteration.settings().info();
    // An evaluation looks at a model that another task has made, and makes none.
    boolean evaluation = info.getTaskInfo().hasEvaluationInfo();
    BlobName checkpoint = evaluation
        ? layout.checkpoint(trainingTask(info.getTaskInfo().getEvaluationInfo()), info.getEvaluationTrainingIterationId())
        : layout.checkpoint(task, iteration.settings().baseOnResult());
    Optional<BlobName> next = evaluation ? Optional.empty() : Optional.of(layout.checkpoint(task, result));
    Optional<BlobName> nextForDevices = evaluation ? Optional.empty() : Optional.of(layout.clientCheckpoint(task, result));
    return new ModelUpdaterMessage(
        plan.bucket(),
        plan.key(),
        layout.aggregateBucket(),
        prefix,
        sums.stream().map(batch -> batch + "/gradient").toList(),
        checkpoint.bucket(),
        checkpoint.key(),
        next.map(BlobName::bucket),
        next.map(BlobName::key),
        nextForDevices.map(BlobName::bucket),
        nextForDevices.map(BlobName::key),
        metrics.bucket(),
        metrics.key(),
        Long.toString(iteration.key().iteration()));
  }

  private List<String> aggregated(IterationKey key) {
    List<String> all = new ArrayList<>();
    List<String> some;
    do {
      some = batches.withStatus(key, BatchStatus.UPLOAD_COMPLETED, all.isEmpty() ? "" : all.get(all.size() - 1), MOST_BATCHES);
      all.addAll(some);
    } while (some.size() == MOST_BATCHES);
    return all;
  }

  private static TaskKey trainingTask(EvaluationInfo info) {
    return new TaskKey(info.getTrainingPopulationName(), info.getTrainingTaskId());
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.collector.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.AggregatorMessage;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages.Messages;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.AssignmentStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Assignments.Waiting;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.BatchStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Batches.Contributions;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationKey;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What a pass does for an iteration that collects: finds uploads, makes batches of them and has these aggregated, until there are enough.
 *
 * <p>It looks for the blobs of assignments that wait for theirs instead of listing all that are there, so its cost depends on how many wait
 * and not on how many there were. If more wait than it looks for in one pass, the next pass goes on where this one ended.
 */
public final class Collecting {
  private static final int MOST_UPLOADS = 1000;
  private static final int MOST_BATCHES = 100;

  private final Assignments assignments;
  private final Batches batches;
  private final Transitions transitions;
  private final Presence presence;
  private final BlobLayout layout;
  private final Messages messages;
  private final CollectorSettings settings;

  /** Of iterations with more waiting assignments than a pass looks at: the last one that was looked at. */
  private final Map<IterationKey, Waiting> positions = new ConcurrentHashMap<>();

  public Collecting(
      Assignments assignments,
      Batches batches,
      Transitions transitions,
      Presence presence,
      BlobLayout layout,
      Messages messages,
      CollectorSettings settings) {
    this.assignments = assignments;
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
    collectUploads(iteration);
    List<String> leftovers = batchUploads(key);
    publish(iteration);
    Contributions contributions = batches.contributions(key);
    if (!leftovers.isEmpty() && contributions.published() + leftovers.size() >= goal) {
      transitions.batch(key, AssignmentStatus.UPLOAD_COMPLETED, leftovers);
      publish(iteration);
      contributions = batches.contributions(key);
    }
    if (!transitions.setBack(iteration, contributions) && contributions.published() >= goal) {
      transitions.move(iteration, IterationStatus.AGGREGATING, 1, contributions);
    }
  }

  /** Full batches are made at once, so that each of their assignments moves once. */
  private void collectUploads(Iteration iteration) {
    IterationKey key = iteration.key();
    List<Waiting> waiting =
        assignments.waiting(key, AssignmentStatus.LOCAL_COMPLETED, Optional.ofNullable(positions.get(key)), MOST_UPLOADS);
    List<String> uploaded = presence
        .of(waiting, one -> layout.upload(key.task(), iteration.settings().result(), one.session()))
        .stream()
        .map(Waiting::session)
        .toList();
    int batched = 0;
    for (; batched + settings.batchSize() <= uploaded.size(); batched += settings.batchSize()) {
      transitions.batch(key, AssignmentStatus.LOCAL_COMPLETED, uploaded.subList(batched, batched + settings.batchSize()));
    }
    transitions.move(
        key, AssignmentStatus.LOCAL_COMPLETED, AssignmentStatus.UPLOAD_COMPLETED, uploaded.subList(batched, uploaded.size()));
    if (waiting.size() == MOST_UPLOADS) {
      positions.put(key, waiting.get(MOST_UPLOADS - 1));
    } else {
      positions.remove(key);
    }
  }

  /** Makes full batches of uploads that are in none; the sessions that are left. */
  private List<String> batchUploads(IterationKey key) {
    while (true) {
      List<String> uploaded = assignments.waiting(key, AssignmentStatus.UPLOAD_COMPLETED, Optional.empty(), settings.batchSize())
          .stream()
          .map(Waiting::session)
          .toList();
      if (uploaded.size() < settings.batchSize()) {
        return uploaded;
      }
      transitions.batch(key, AssignmentStatus.UPLOAD_COMPLETED, uploaded);
    }
  }

  /** The message first: a batch whose message was sent twice is aggregated twice into the same blob, one whose message was not, never. */
  private void publish(Iteration iteration) {
    IterationKey key = iteration.key();
    List<String> full;
    do {
      full = batches.withStatus(key, BatchStatus.FULL, "", MOST_BATCHES);
      for (String batch : full) {
        messages.publish(settings.aggregatorTopic(), message(iteration, batch).toMessage());
        transitions.move(key, batch, BatchStatus.FULL, BatchStatus.PUBLISH_COMPLETED);
      }
    } while (full.size() == MOST_BATCHES);
  }

  private AggregatorMessage message(Iteration iteration, String batch) {
    IterationKey key = iteration.key();
    TaskKey task = key.task();
    long result = iteration.settings().result();
    return new AggregatorMessage(
        false,
        layout.serverPlan(task).bucket(),
        layout.serverPlan(task).key(),
        layout.uploadBucket(),
        layout.uploads(task, result) + "/",
        batches.members(key, batch).stream().map(session -> session + "/gradient").toList(),
        layout.aggregate(task, result, Batches.LEVEL, batch).bucket(),
        layout.aggregate(task, result, Batches.LEVEL, batch).key(),
        new RequestId(key, batch).toString(),
        settings.notificationEndpoint().address());
  }
}

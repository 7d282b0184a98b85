package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Task;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.TaskKey;
import java.util.List;
import java.util.function.BinaryOperator;
import java.util.stream.Stream;

/** The plans and checkpoints of tasks. All that is done to them may be done again. */
public final class Artifacts {
  private final Blobs blobs;
  private final BlobLayout layout;
  private final BinaryOperator<byte[]> clientCheckpoint;

  /**
   * Uses a store.
   *
   * @param clientCheckpoint makes the checkpoint that devices download, of the server's plan and checkpoint
   */
  public Artifacts(Blobs blobs, BlobLayout layout, BinaryOperator<byte[]> clientCheckpoint) {
    this.blobs = blobs;
    this.layout = layout;
    this.clientCheckpoint = clientCheckpoint;
  }

  /** Whether all that the first iteration of a task needs was uploaded. */
  boolean areThere(Task task) {
    return uploaded(task).allMatch(blobs::exists);
  }

  /** Whether the server's part of a training task was uploaded. */
  boolean serversAreThere(TaskKey task) {
    return blobs.exists(layout.serverPlan(task)) && blobs.exists(layout.checkpoint(task, 0));
  }

  /** Compresses what was uploaded without compression: devices get every blob as it is stored, and expect gzip. */
  void compress(Task task) {
    for (BlobName name : uploaded(task).toList()) {
      if (existing(name, blobs::encoding) == Encoding.IDENTITY) {
        blobs.write(name, existing(name, blobs::read));
      }
    }
  }

  /**
   * Makes what devices download.
   *
   * @param task whose plan is run, and whose devices download it
   * @param result from which they do
   * @param source whose checkpoint it is made of
   * @param sourceResult which one of them
   */
  void makeClientCheckpoint(TaskKey task, long result, TaskKey source, long sourceResult) {
    byte[] plan = existing(layout.serverPlan(task), blobs::read);
    byte[] checkpoint = existing(layout.checkpoint(source, sourceResult), blobs::read);
    blobs.write(layout.clientCheckpoint(task, result), clientCheckpoint.apply(plan, checkpoint));
  }

  /** Whether the model updater has finished an iteration. */
  boolean resultIsThere(Task task, Iteration iteration) {
    TaskKey key = task.key();
    long result = iteration.settings().result();
    List<BlobName> outputs = task.settings().evaluates()
        ? List.of(layout.metrics(key, result))
        // The last one that it writes first: as long as it is missing, that is enough to know.
        : List.of(layout.clientCheckpoint(key, result), layout.metrics(key, result), layout.checkpoint(key, result));
    return outputs.stream().allMatch(blobs::exists);
  }

  private Stream<BlobName> uploaded(Task task) {
    TaskKey key = task.key();
    Stream<BlobName> plans = Stream.of(layout.clientPlan(key), layout.serverPlan(key));
    return task.settings().evaluates() ? plans : Stream.concat(plans, Stream.of(layout.checkpoint(key, 0)));
  }

  private interface Look<T> {
    T at(BlobName name) throws BlobNotFoundException;
  }

  private static <T> T existing(BlobName name, Look<T> look) {
    try {
      return look.at(name);
    } catch (BlobNotFoundException missing) {
      throw new BlobException(missing.getMessage(), missing);
    }
  }
}

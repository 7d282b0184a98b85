package com.google.ondevicepersonalization.federatedcompute.shuffler.taskscheduler.passes;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.DamagedBlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.layout.BlobLayout;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.Iteration;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.IterationStatus;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks.ModelMetrics;
import java.io.IOException;
import java.time.Clock;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings the metrics of completed iterations from their blobs to the metrics database.
 *
 * <p>What cannot be stored there is told once and passed over: it stays in the blob, and would not get better.
 */
public final class PostProcessing {
  private static final Logger LOG = LoggerFactory.getLogger(PostProcessing.class);

  // Whoever writes NaN and Infinity writes them so.
  private static final ObjectMapper JSON = JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

  private final ModelMetrics metrics;
  private final Blobs blobs;
  private final BlobLayout layout;
  private final Transitions transitions;
  private final Clock clock;

  public PostProcessing(ModelMetrics metrics, Blobs blobs, BlobLayout layout, Transitions transitions, Clock clock) {
    this.metrics = metrics;
    this.blobs = blobs;
    this.layout = layout;
    this.transitions = transitions;
    this.clock = clock;
  }

  void run(Iteration iteration) {
    metrics.write(iteration.key(), read(iteration), clock.instant());
    transitions.move(iteration, IterationStatus.POST_PROCESSED);
  }

  private Map<String, Double> read(Iteration iteration) {
    BlobName name = layout.metrics(iteration.key().task(), iteration.settings().result());
    Map<String, Double> found = new TreeMap<>();
    try {
      JsonNode json = JSON.readTree(blobs.read(name));
      if (!json.isObject()) {
        throw new IOException("it is none");
      }
      json.properties().forEach(field -> {
        if (canBeStored(field.getKey(), field.getValue())) {
          found.put(field.getKey(), field.getValue().doubleValue());
        } else {
          LOG.warn("iteration {}: metric {} is not stored: expected a finite number and a name of at most {} characters",
              iteration.key(), printable(field.getKey()), ModelMetrics.LONGEST_NAME);
        }
      });
    } catch (BlobNotFoundException | DamagedBlobException unreadable) {
      LOG.warn("iteration {}: no metrics are stored: {}", iteration.key(), unreadable.getMessage());
    } catch (IOException malformed) {
      LOG.warn("iteration {}: no metrics are stored: {}: expected a JSON object of numbers", iteration.key(), name);
    }
    return found;
  }

  private static boolean canBeStored(String name, JsonNode value) {
    return value.isNumber()
        && Double.isFinite(value.doubleValue())
        && name.codePointCount(0, name.length()) <= ModelMetrics.LONGEST_NAME
        && name.indexOf('\0') < 0;
  }

  private static String printable(String name) {
    String line = name.replaceAll("\\p{Cntrl}", "?");
    return line.length() > ModelMetrics.LONGEST_NAME ? line.substring(0, ModelMetrics.LONGEST_NAME) + "..." : line;
  }
}

package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.time.Instant;
import java.util.Map;
import java.util.TreeMap;

/** What the models of iterations reached: the metrics database. */
public final class ModelMetrics {
  /** Characters of a name. */
  public static final int LONGEST_NAME = 64;

  private final Database database;

  public ModelMetrics(Database metrics) {
    this.database = metrics;
  }

  /** Stores the metrics of an iteration, whatever there was under these names. */
  public void write(IterationKey key, Map<String, Double> metrics, Instant now) {
    database.<Void>transact(client -> {
      // All columns, as Spanner wants; in their order, so that two who write the same do not wait for each other.
      new TreeMap<>(metrics).forEach((name, value) -> client.sql("""
          INSERT INTO model_metrics (population_name, task_id, iteration_id, metric_name, metric_value, created_time)
          VALUES (:population, :task, :iteration, :name, :value, :now)
          ON CONFLICT (population_name, task_id, iteration_id, metric_name)
          DO UPDATE SET population_name = excluded.population_name, task_id = excluded.task_id, iteration_id = excluded.iteration_id,
              metric_name = excluded.metric_name, metric_value = excluded.metric_value, created_time = excluded.created_time
          """)
          .params(Rows.parameters(key.task()))
          .param("iteration", key.iteration())
          .param("name", name)
          .param("value", value)
          .param("now", Rows.time(now))
          .update());
      return null;
    });
  }
}

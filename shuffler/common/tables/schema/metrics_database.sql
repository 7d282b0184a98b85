--liquibase formatted sql

-- The metrics database: what a model reached, for people and dashboards.

--changeset federatedcompute:model_metrics
CREATE TABLE model_metrics (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    metric_name varchar(64) NOT NULL,
    metric_value double precision NOT NULL,
    created_time timestamptz NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, metric_name)
);
CREATE INDEX model_metrics_by_time ON model_metrics (created_time);

--liquibase formatted sql

-- The task database: what services.md calls the Spanner task DB, in the SQL that PostgreSQL and Spanner's PostgreSQL dialect share.
-- Status codes: shuffler/common/tasks. Times are UTC. A changeset that was released is never edited: add one.
--
-- No secondary index begins with columns of its table's primary key alone: while PostgreSQL has no statistics of an iteration, as of every new
-- one, such an index seems as good as the primary key for finding one row, and then each look reads all rows of the iteration.

--changeset federatedcompute:tasks
CREATE TABLE task (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    total_iteration bigint NOT NULL,
    min_aggregation_size bigint NOT NULL,
    max_aggregation_size bigint NOT NULL,
    status bigint NOT NULL,
    created_time timestamptz NOT NULL,
    start_time timestamptz,
    stop_time timestamptz,
    start_task_no_earlier_than timestamptz,
    do_not_create_iteration_after timestamptz,
    max_parallel bigint NOT NULL,
    correlation_id text NOT NULL,
    min_client_version varchar(32) NOT NULL,
    max_client_version varchar(32) NOT NULL,
    -- TaskInfo as proto3 JSON.
    info jsonb NOT NULL,
    PRIMARY KEY (population_name, task_id)
);
CREATE INDEX task_by_status ON task (status, population_name, task_id);

CREATE TABLE task_status_history (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    status_id bigint NOT NULL,
    status bigint NOT NULL,
    created_time timestamptz NOT NULL,
    PRIMARY KEY (population_name, task_id, status_id),
    FOREIGN KEY (population_name, task_id) REFERENCES task (population_name, task_id) ON DELETE CASCADE
);

--changeset federatedcompute:iterations
CREATE TABLE iteration (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    status bigint NOT NULL,
    base_iteration_id bigint NOT NULL,
    base_on_result_id bigint NOT NULL,
    result_id bigint NOT NULL,
    report_goal bigint NOT NULL,
    max_aggregation_size bigint NOT NULL,
    aggregation_level bigint NOT NULL,
    expiration_time timestamptz,
    min_client_version varchar(32) NOT NULL,
    max_client_version varchar(32) NOT NULL,
    -- IterationInfo as proto3 JSON.
    info jsonb NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id),
    FOREIGN KEY (population_name, task_id) REFERENCES task (population_name, task_id) ON DELETE CASCADE
);
CREATE INDEX iteration_by_status ON iteration (status, population_name, task_id, iteration_id, attempt_id);

CREATE TABLE iteration_status_history (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    status_id bigint NOT NULL,
    status bigint NOT NULL,
    aggregation_level bigint NOT NULL,
    created_time timestamptz NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id, status_id),
    FOREIGN KEY (population_name, task_id, iteration_id, attempt_id)
        REFERENCES iteration (population_name, task_id, iteration_id, attempt_id) ON DELETE CASCADE
);

-- How many assignments of an iteration are active, exactly: an assignment takes a slot when it is made and gives it back when it fails. In
-- shards, so that devices that check in at the same time do not wait for one row.
CREATE TABLE assignment_slots (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    shard bigint NOT NULL,
    active bigint NOT NULL,
    capacity bigint NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id, shard),
    FOREIGN KEY (population_name, task_id, iteration_id, attempt_id)
        REFERENCES iteration (population_name, task_id, iteration_id, attempt_id) ON DELETE CASCADE
);

--changeset federatedcompute:assignments
CREATE TABLE assignment (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    session_id varchar(64) NOT NULL,
    correlation_id text NOT NULL,
    status bigint NOT NULL,
    created_time timestamptz NOT NULL,
    -- Of the newest history row.
    status_time timestamptz NOT NULL,
    -- Of assignment_slots.
    shard bigint NOT NULL,
    batch_id varchar(64),
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id, session_id),
    FOREIGN KEY (population_name, task_id, iteration_id, attempt_id)
        REFERENCES iteration (population_name, task_id, iteration_id, attempt_id) ON DELETE CASCADE
);
-- What the collector looks for is few among many: the unbatched of one status, the oldest of one status, the members of a batch.
CREATE INDEX assignment_by_batch ON assignment (batch_id, population_name, task_id, iteration_id, attempt_id, status, status_time);

CREATE TABLE assignment_status_history (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    session_id varchar(64) NOT NULL,
    status_id bigint NOT NULL,
    status bigint NOT NULL,
    batch_id varchar(64),
    created_time timestamptz NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id, session_id, status_id),
    FOREIGN KEY (population_name, task_id, iteration_id, attempt_id, session_id)
        REFERENCES assignment (population_name, task_id, iteration_id, attempt_id, session_id) ON DELETE CASCADE
);

--changeset federatedcompute:aggregation_batches
CREATE TABLE aggregation_batch (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    batch_id varchar(64) NOT NULL,
    aggregation_level bigint NOT NULL,
    status bigint NOT NULL,
    batch_size bigint NOT NULL,
    created_by_partition varchar(64) NOT NULL,
    aggregated_by varchar(64),
    created_time timestamptz NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id, batch_id),
    FOREIGN KEY (population_name, task_id, iteration_id, attempt_id)
        REFERENCES iteration (population_name, task_id, iteration_id, attempt_id) ON DELETE CASCADE
);
-- Sums of sizes by status are asked for several times a second: the index alone answers.
CREATE INDEX aggregation_batch_by_status
    ON aggregation_batch (aggregation_level, population_name, task_id, iteration_id, attempt_id, status, batch_id) INCLUDE (batch_size);

CREATE TABLE aggregation_batch_status_history (
    population_name varchar(64) NOT NULL,
    task_id bigint NOT NULL,
    iteration_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    batch_id varchar(64) NOT NULL,
    status_id bigint NOT NULL,
    aggregation_level bigint NOT NULL,
    status bigint NOT NULL,
    created_by_partition varchar(64) NOT NULL,
    aggregated_by varchar(64),
    created_time timestamptz NOT NULL,
    PRIMARY KEY (population_name, task_id, iteration_id, attempt_id, batch_id, status_id),
    FOREIGN KEY (population_name, task_id, iteration_id, attempt_id, batch_id)
        REFERENCES aggregation_batch (population_name, task_id, iteration_id, attempt_id, batch_id) ON DELETE CASCADE
);

--changeset federatedcompute:authorization
CREATE TABLE allowed_authorization_token (
    token varchar(64) NOT NULL,
    created_at timestamptz NOT NULL,
    expired_at timestamptz NOT NULL,
    PRIMARY KEY (token)
);
CREATE INDEX allowed_authorization_token_by_expiry ON allowed_authorization_token (expired_at);

--changeset federatedcompute:locks
-- As Spring Integration's JdbcLockRegistry has it.
CREATE TABLE int_lock (
    -- A UUID of the lock's name.
    lock_key varchar(36) NOT NULL,
    region varchar(100) NOT NULL,
    client_id varchar(36) NOT NULL,
    -- When its holder last said that it is there.
    created_date timestamptz NOT NULL,
    PRIMARY KEY (lock_key, region)
);

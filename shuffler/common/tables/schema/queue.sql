--liquibase formatted sql

-- Queues of messages, for PostgreSQL only: Spanner has no SKIP LOCKED, and Google Cloud has Pub/Sub.

--changeset federatedcompute:messages
CREATE TABLE message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription varchar(255) NOT NULL,
    data text NOT NULL,
    attributes jsonb NOT NULL,
    -- So far. Who holds a message knows by it whether the message is still its own.
    deliveries bigint NOT NULL,
    -- Nobody may take it before: the end of a lease, or of the pause after a delivery that failed.
    visible_time timestamptz NOT NULL,
    created_time timestamptz NOT NULL
);
CREATE INDEX message_by_visibility ON message (subscription, visible_time, message_id);

CREATE TABLE dead_letter (
    message_id bigint PRIMARY KEY,
    subscription varchar(255) NOT NULL,
    data text NOT NULL,
    attributes jsonb NOT NULL,
    created_time timestamptz NOT NULL,
    dead_time timestamptz NOT NULL
);

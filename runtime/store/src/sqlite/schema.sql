-- The host's own tables. Instants are milliseconds since 1970; `seq` is the order of commits.

-- Which migration files have been applied, as they were then.
CREATE TABLE souk_migrations (
    component  TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    name       TEXT   NOT NULL,
    digest     TEXT   NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (component, number)
) WITHOUT ROWID;

-- Which batches have been committed, and the rows that each of their writes touched.
CREATE TABLE souk_batches (
    seq          INTEGER PRIMARY KEY,
    component    TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    outcome      TEXT   NOT NULL,
    committed_at BIGINT NOT NULL,
    UNIQUE (component, id)
);

-- What `kv` holds. An expired row is absent, and swept later.
CREATE TABLE souk_kv (
    component  TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    value      TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (component, key)
);
CREATE INDEX souk_kv_expiry ON souk_kv (expires_at) WHERE expires_at IS NOT NULL;

-- Numbers that only grow: `version` numbers the versions of keys and the dead letters.
CREATE TABLE souk_counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO souk_counters VALUES ('version', 0);

-- Events that some subscriber has not taken yet; `pending` counts those.
CREATE TABLE souk_events (
    seq          INTEGER PRIMARY KEY,
    id           TEXT   NOT NULL,
    component    TEXT   NOT NULL,
    topic        TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    payload      TEXT   NOT NULL,
    committed_at BIGINT NOT NULL,
    pending      BIGINT NOT NULL
);

-- One event on its way to one subscriber. Those of one subscriber, topic and key are a queue.
--
-- `ready` is 1 when the row may be looked at once `next_at` has come, and 0 when an earlier one of its queue
-- is known to be before it. The end of that one makes the first 0 of the queue a 1. So a long queue
-- behind a failing event costs nothing to look at.
CREATE TABLE souk_deliveries (
    subscriber TEXT   NOT NULL,
    topic      TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    ready      BIGINT NOT NULL,
    PRIMARY KEY (subscriber, topic, key, seq)
) WITHOUT ROWID;
CREATE INDEX souk_deliveries_ready ON souk_deliveries (subscriber, next_at, seq) WHERE ready = 1;

-- Events that a subscriber failed to take ten times.
CREATE TABLE souk_dead_letters (
    id           INTEGER PRIMARY KEY,
    subscriber   TEXT   NOT NULL,
    event_id     TEXT   NOT NULL,
    component    TEXT   NOT NULL,
    topic        TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    payload      TEXT   NOT NULL,
    committed_at BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    error        TEXT   NOT NULL,
    died_at      BIGINT NOT NULL
);

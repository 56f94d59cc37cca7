-- The host's own tables. Instants are milliseconds since 1970, told by the hosts; only leases are measured by the
-- clock of the database, which is one for all hosts.

CREATE SCHEMA souk;

-- Which version of this file made the schema.
CREATE TABLE souk.schema (
    version BIGINT NOT NULL
);

-- Which migration files have been applied, as they were then.
CREATE TABLE souk.migrations (
    component  TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    name       TEXT   NOT NULL,
    digest     TEXT   NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (component, number)
);

-- Which batches have been committed, and the rows that each of their writes touched.
CREATE TABLE souk.batches (
    component    TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    outcome      TEXT   NOT NULL,
    committed_at BIGINT NOT NULL,
    PRIMARY KEY (component, id)
);
CREATE INDEX batches_oldest ON souk.batches (committed_at);

-- What `kv` holds. An expired row is absent, and swept later.
CREATE TABLE souk.kv (
    component  TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    value      TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (component, key)
);
CREATE INDEX kv_expiry ON souk.kv (expires_at) WHERE expires_at IS NOT NULL;
CREATE SEQUENCE souk.versions;

-- One subscriber, topic and key with deliveries that wait. This row is what hosts compete for, so that one at a time
-- delivers from a queue; and what commits of one key lock, so that their deliveries are numbered in the order of commits.
--
-- Before `next_at` there is nothing to deliver. While `leased_until` has not passed, the queue belongs to the host
-- that was given `lease`.
CREATE TABLE souk.queues (
    subscriber   TEXT   NOT NULL,
    topic        TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    next_at      BIGINT NOT NULL,
    lease        BIGINT,
    leased_until TIMESTAMPTZ,
    PRIMARY KEY (subscriber, topic, key)
);
CREATE INDEX queues_next ON souk.queues (subscriber, next_at);
CREATE SEQUENCE souk.leases;

-- One event on its way to one subscriber. `not_before` is 0 but for a timer.
CREATE TABLE souk.deliveries (
    subscriber   TEXT   NOT NULL,
    topic        TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    seq          BIGINT NOT NULL,
    event_id     TEXT   NOT NULL,
    payload      TEXT   NOT NULL,
    committed_at BIGINT NOT NULL,
    not_before   BIGINT NOT NULL,
    next_at      BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    PRIMARY KEY (subscriber, topic, key, seq)
);
CREATE INDEX deliveries_timers ON souk.deliveries (subscriber, topic, key, not_before) WHERE not_before > 0;
CREATE SEQUENCE souk.deliveries_seq;

-- Events that a subscriber failed to take ten times.
CREATE TABLE souk.dead_letters (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscriber   TEXT   NOT NULL,
    topic        TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    event_id     TEXT   NOT NULL,
    payload      TEXT   NOT NULL,
    committed_at BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    error        TEXT   NOT NULL,
    died_at      BIGINT NOT NULL
);

-- Every function is `VOLATILE`: each of its statements sees what was committed before it, also what was committed while
-- the one before waited for a lock.

-- Starts a batch: waits for another with the same id, and ends in SK001 with its outcome when it was committed.
CREATE FUNCTION souk.start(component_ TEXT, id_ TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    known TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(component_ || '/' || id_, 0));
    SELECT outcome INTO known FROM souk.batches WHERE component = component_ AND id = id_;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'SK001', MESSAGE = known;
    END IF;
    PERFORM set_config('souk.touched', '', true);
END
$$;

-- Notes how many rows a write touched, and ends in SK002 when its guard is missed. Runs as the component.
CREATE FUNCTION souk.guard(touched BIGINT, expected BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
BEGIN
    IF touched <> expected THEN
        RAISE EXCEPTION USING ERRCODE = 'SK002', MESSAGE = touched::TEXT;
    END IF;
    PERFORM set_config('souk.touched', current_setting('souk.touched') || touched || ' ', true);
    RETURN touched;
END
$$;

-- Ends a batch: stores its deliveries, one in each place of the arrays, and its outcome.
CREATE FUNCTION souk.finish(
    component_ TEXT, id_ TEXT, now_ BIGINT,
    subscribers TEXT[], topics TEXT[], keys TEXT[], event_ids TEXT[], payloads TEXT[], not_befores BIGINT[]
) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(subscribers) > 0 THEN
        -- In one order everywhere, so that two batches never wait for each other.
        INSERT INTO souk.queues AS q (subscriber, topic, key, next_at)
        SELECT s, t, k, min(greatest(n, now_)) FROM unnest(subscribers, topics, keys, not_befores) AS d (s, t, k, n)
        GROUP BY s, t, k ORDER BY s, t, k
        ON CONFLICT (subscriber, topic, key) DO UPDATE SET next_at = least(q.next_at, excluded.next_at);
        -- Numbered only now: whoever committed to these queues before has ended.
        INSERT INTO souk.deliveries
            (subscriber, topic, key, seq, event_id, payload, committed_at, not_before, next_at, attempts)
        SELECT s, t, k, nextval('souk.deliveries_seq'), e, p, now_, n, greatest(n, now_), 0
        FROM unnest(subscribers, topics, keys, event_ids, payloads, not_befores)
            WITH ORDINALITY AS d (s, t, k, e, p, n, place)
        ORDER BY place;
    END IF;
    INSERT INTO souk.batches (component, id, outcome, committed_at)
    VALUES (component_, id_, rtrim(current_setting('souk.touched')), now_);
END
$$;

-- Says when the next delivery of a queue, whose row is locked, may be looked at, and ends its lease. An empty one goes.
CREATE FUNCTION souk.release(subscriber_ TEXT, topic_ TEXT, key_ TEXT, now_ BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    first_at BIGINT;
    timer_at BIGINT;
BEGIN
    SELECT next_at INTO first_at FROM souk.deliveries
    WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_ AND not_before <= now_ ORDER BY seq LIMIT 1;
    SELECT min(not_before) INTO timer_at FROM souk.deliveries
    WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_ AND not_before > 0 AND not_before > now_;
    IF first_at IS NULL AND timer_at IS NULL THEN
        DELETE FROM souk.queues WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_;
    ELSE
        UPDATE souk.queues SET next_at = least(first_at, timer_at), lease = NULL, leased_until = NULL
        WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_;
    END IF;
END
$$;

-- Takes deliveries whose instant has come: for each subscriber at most as many as it has room for, `room_` in all, and
-- none of the queues that the caller names as under way. Rows that another host has locked are passed over.
CREATE FUNCTION souk.take_due(
    now_ BIGINT, lease_ms BIGINT, room_ BIGINT, subscribers TEXT[], rooms BIGINT[],
    busy_subscribers TEXT[], busy_topics TEXT[], busy_keys TEXT[]
) RETURNS TABLE (
    lease BIGINT, subscriber TEXT, topic TEXT, key TEXT, seq BIGINT,
    event_id TEXT, payload TEXT, committed_at BIGINT, attempts BIGINT
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    looks_max CONSTANT BIGINT := 20;
    left_ BIGINT := room_;
    here BIGINT;
    looked BOOLEAN;
    q RECORD;
    d RECORD;
    lease_ BIGINT;
BEGIN
    FOR i IN 1 .. cardinality(subscribers) LOOP
        here := least(rooms[i], left_);
        FOR look IN 1 .. looks_max LOOP
            looked := false;
            FOR q IN
                SELECT c.subscriber, c.topic, c.key FROM souk.queues c
                WHERE c.subscriber = subscribers[i] AND c.next_at <= now_
                    AND (c.leased_until IS NULL OR c.leased_until <= clock_timestamp())
                    AND NOT EXISTS (
                        SELECT 1 FROM unnest(busy_subscribers, busy_topics, busy_keys) AS b (s, t, k)
                        WHERE b.s = c.subscriber AND b.t = c.topic AND b.k = c.key)
                ORDER BY c.next_at LIMIT here
                FOR UPDATE SKIP LOCKED
            LOOP
                looked := true;
                SELECT * INTO d FROM souk.deliveries e
                WHERE e.subscriber = q.subscriber AND e.topic = q.topic AND e.key = q.key AND e.not_before <= now_
                ORDER BY e.seq LIMIT 1;
                IF FOUND AND d.next_at <= now_ THEN
                    lease_ := coalesce(lease_, nextval('souk.leases'));
                    UPDATE souk.queues u
                    SET lease = lease_, leased_until = clock_timestamp() + lease_ms * interval '1 millisecond'
                    WHERE u.subscriber = q.subscriber AND u.topic = q.topic AND u.key = q.key;
                    here := here - 1;
                    left_ := left_ - 1;
                    RETURN QUERY SELECT lease_, d.subscriber, d.topic, d.key, d.seq,
                        d.event_id, d.payload, d.committed_at, d.attempts;
                ELSE
                    PERFORM souk.release(q.subscriber, q.topic, q.key, now_);
                END IF;
            END LOOP;
            EXIT WHEN here <= 0 OR NOT looked;
        END LOOP;
        EXIT WHEN left_ <= 0;
    END LOOP;
END
$$;

-- Stores the outcome of a delivery. `delays` says after how many milliseconds a first, second, ... failure is
-- repeated; the failure after the last of them is the end. A queue that another host has taken over stays as it is.
CREATE FUNCTION souk.settle(
    subscriber_ TEXT, topic_ TEXT, key_ TEXT, seq_ BIGINT, lease_ BIGINT, now_ BIGINT, error_ TEXT, delays BIGINT[]
) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    outcome TEXT := 'delivered';
    failures BIGINT;
BEGIN
    PERFORM 1 FROM souk.queues
    WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_ AND lease = lease_ FOR UPDATE;
    IF NOT FOUND THEN
        RETURN outcome;
    END IF;
    IF error_ IS NOT NULL THEN
        UPDATE souk.deliveries SET attempts = attempts + 1, next_at = now_ + coalesce(delays[attempts + 1], 0)
        WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_ AND seq = seq_
        RETURNING attempts INTO failures;
        outcome := CASE WHEN failures IS NULL THEN 'delivered' WHEN failures > cardinality(delays) THEN 'dead' ELSE 'retried' END;
    END IF;
    IF outcome = 'dead' THEN
        INSERT INTO souk.dead_letters
            (subscriber, topic, key, event_id, payload, committed_at, attempts, error, died_at)
        SELECT subscriber, topic, key, event_id, payload, committed_at, attempts, error_, now_ FROM souk.deliveries
        WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_ AND seq = seq_;
    END IF;
    IF outcome <> 'retried' THEN
        DELETE FROM souk.deliveries
        WHERE subscriber = subscriber_ AND topic = topic_ AND key = key_ AND seq = seq_;
    END IF;
    PERFORM souk.release(subscriber_, topic_, key_, now_);
    RETURN outcome;
END
$$;

-- Puts the first dead letter of a range back into its queue, behind what waits there, with its attempts forgotten.
CREATE FUNCTION souk.replay(first_ BIGINT, last_ BIGINT, now_ BIGINT) RETURNS TABLE (id BIGINT, subscriber TEXT)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    dead RECORD;
BEGIN
    DELETE FROM souk.dead_letters x WHERE x.id =
        (SELECT y.id FROM souk.dead_letters y WHERE y.id BETWEEN first_ AND last_ ORDER BY y.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING * INTO dead;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO souk.queues AS q (subscriber, topic, key, next_at) VALUES (dead.subscriber, dead.topic, dead.key, now_)
    ON CONFLICT (subscriber, topic, key) DO UPDATE SET next_at = least(q.next_at, excluded.next_at);
    INSERT INTO souk.deliveries
        (subscriber, topic, key, seq, event_id, payload, committed_at, not_before, next_at, attempts)
    VALUES (dead.subscriber, dead.topic, dead.key, nextval('souk.deliveries_seq'), dead.event_id, dead.payload,
        dead.committed_at, 0, now_, 0);
    RETURN QUERY SELECT dead.id, dead.subscriber;
END
$$;

-- A component's role finds `guard` here, and nothing else that it may use.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA souk FROM PUBLIC;
GRANT EXECUTE ON FUNCTION souk.guard (BIGINT, BIGINT) TO PUBLIC;
INSERT INTO souk.schema (version) VALUES (1);

CREATE TABLE test_payments_objects (
    key             TEXT   NOT NULL PRIMARY KEY,
    reference       TEXT   NOT NULL UNIQUE,
    order_id        TEXT   NOT NULL,
    amount_minor    BIGINT NOT NULL CHECK (amount_minor > 0),
    currency        TEXT   NOT NULL CHECK (length(currency) = 3),
    token           TEXT   NOT NULL,
    return_url      TEXT   NOT NULL,
    capture_policy  TEXT   NOT NULL CHECK (capture_policy IN ('automatic', 'manual')),
    state           TEXT   NOT NULL CHECK (state IN ('processing', 'requires_action', 'authorized', 'declined', 'voided')),
    decline_code    TEXT,
    decline_message TEXT,
    ready_at        BIGINT,
    captured        BIGINT NOT NULL,
    refunded        BIGINT NOT NULL CHECK (refunded >= 0),
    created_at      BIGINT NOT NULL,
    version         BIGINT NOT NULL CHECK (version > 0),
    CONSTRAINT test_payments_refunded_is_captured CHECK (refunded <= captured),
    CONSTRAINT test_payments_captured_is_held CHECK (captured <= amount_minor),
    CONSTRAINT test_payments_taken_is_authorized CHECK (captured = 0 OR state = 'authorized')
);

-- Captures, voids and refunds, refused ones too: a repeat with the same id gets the same answer.
CREATE TABLE test_payments_commands (
    id              TEXT   NOT NULL PRIMARY KEY,
    key             TEXT   NOT NULL REFERENCES test_payments_objects (key),
    kind            TEXT   NOT NULL CHECK (kind IN ('capture', 'void', 'refund')),
    amount_minor    BIGINT NOT NULL CHECK (amount_minor >= 0),
    decline_code    TEXT,
    decline_message TEXT,
    created_at      BIGINT NOT NULL
);

-- Authorizations that were lost on their way here, as `tok_timeout_before` wants it: the next one is not.
CREATE TABLE test_payments_lost (
    key TEXT NOT NULL PRIMARY KEY
);

CREATE TABLE payment_payments (
    id                 TEXT   NOT NULL PRIMARY KEY,
    order_id           TEXT   NOT NULL,
    provider           TEXT   NOT NULL,
    provider_reference TEXT   NOT NULL,
    request            TEXT   NOT NULL,
    token              TEXT   NOT NULL,
    return_url         TEXT   NOT NULL,
    capture_policy     TEXT   NOT NULL CHECK (capture_policy IN ('automatic', 'manual')),
    state              TEXT   NOT NULL CHECK (state IN ('pending', 'requires_action', 'authorized', 'declined', 'voided')),
    amount_minor       BIGINT NOT NULL CHECK (amount_minor > 0),
    currency           TEXT   NOT NULL CHECK (length(currency) = 3),
    authorized         BIGINT NOT NULL,
    captured           BIGINT NOT NULL,
    refunded           BIGINT NOT NULL CHECK (refunded >= 0),
    action_url         TEXT   NOT NULL,
    decline_code       TEXT,
    decline_message    TEXT,
    problem            TEXT   NOT NULL,
    watch_until        BIGINT NOT NULL,
    check_at           BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    heard_at           BIGINT NOT NULL,
    version            BIGINT NOT NULL CHECK (version > 0),
    CONSTRAINT payment_refunded_is_captured CHECK (refunded <= captured),
    CONSTRAINT payment_captured_is_authorized CHECK (captured <= authorized),
    CONSTRAINT payment_authorized_is_asked_for CHECK (authorized <= amount_minor),
    CONSTRAINT payment_amounts_need_authorization CHECK (authorized = 0 OR state = 'authorized')
);

-- An order has one payment that is not declined or voided.
CREATE UNIQUE INDEX payment_payments_active ON payment_payments (order_id)
    WHERE state IN ('pending', 'requires_action', 'authorized');

-- Captures, voids and refunds; the id is the command's, and the idempotency key at the provider.
CREATE TABLE payment_commands (
    id              TEXT   NOT NULL PRIMARY KEY,
    payment_id      TEXT   NOT NULL REFERENCES payment_payments (id),
    kind            TEXT   NOT NULL CHECK (kind IN ('capture', 'void', 'refund')),
    amount_minor    BIGINT NOT NULL CHECK (amount_minor >= 0),
    reason          TEXT   NOT NULL,
    progress        TEXT   NOT NULL CHECK (progress IN ('in_flight', 'done', 'refused')),
    decline_code    TEXT,
    decline_message TEXT,
    created_at      BIGINT NOT NULL,
    CONSTRAINT payment_only_voids_have_no_amount CHECK ((kind = 'void') = (amount_minor = 0))
);

CREATE INDEX payment_commands_payment ON payment_commands (payment_id, created_at, id);

-- A payment has one command on its way at a time, so that the provider's totals say which one happened.
CREATE UNIQUE INDEX payment_commands_in_flight ON payment_commands (payment_id) WHERE progress = 'in_flight';

-- The ledger: two rows for every transfer, a debit above zero and a credit below. Rows are never changed.
CREATE TABLE payment_entries (
    transfer_id  TEXT   NOT NULL,
    account      TEXT   NOT NULL CHECK (account IN
        ('shopper', 'held', 'capture_in_transit', 'provider_clearing', 'refund_in_transit')),
    payment_id   TEXT   NOT NULL REFERENCES payment_payments (id),
    amount_minor BIGINT NOT NULL CHECK (amount_minor <> 0),
    currency     TEXT   NOT NULL CHECK (length(currency) = 3),
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (transfer_id, account)
);

CREATE INDEX payment_entries_payment ON payment_entries (payment_id, account);

-- What connectors said: that their object changed. Kept as it came, before it is acted upon.
CREATE TABLE payment_facts (
    event_id   TEXT   NOT NULL PRIMARY KEY,
    payment_id TEXT   NOT NULL REFERENCES payment_payments (id),
    provider   TEXT   NOT NULL,
    heard_at   BIGINT NOT NULL
);

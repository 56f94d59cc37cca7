-- The inbox: what webhooks say has changed. A row is written before the webhook is answered, kept for 90 days, in which the
-- same event is not taken again, and then removed.
CREATE TABLE payment_hooks (
    -- Derived from the provider and its id of the event.
    id          TEXT   NOT NULL PRIMARY KEY,
    provider    TEXT   NOT NULL,
    event_id    TEXT   NOT NULL,
    reference   TEXT   NOT NULL,
    -- The payment that the event names, if it does. It may not exist, or not yet.
    payment_key TEXT,
    received_at BIGINT NOT NULL,
    -- How often it could not be handled, and why the last time.
    attempts    BIGINT NOT NULL CHECK (attempts >= 0),
    problem     TEXT   NOT NULL,
    handled_at  BIGINT,
    CONSTRAINT payment_hooks_event UNIQUE (provider, event_id)
);

-- For the audit, and for what is removed by age.
CREATE INDEX payment_hooks_waiting ON payment_hooks (id) WHERE handled_at IS NULL;
CREATE INDEX payment_hooks_received ON payment_hooks (received_at);

-- A webhook that names no payment is about the one with its reference.
CREATE INDEX payment_payments_reference ON payment_payments (provider, provider_reference) WHERE provider_reference <> '';

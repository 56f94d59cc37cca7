-- Orders with frozen prices, their lines, parcels, commands and timeline.

CREATE TABLE order_counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL CHECK (value >= 0)
);

-- The last number given: the first order is S-1001.
INSERT INTO order_counters (name, value) VALUES ('number', 1000);

CREATE TABLE order_orders (
    id               TEXT   NOT NULL PRIMARY KEY,
    number           TEXT   NOT NULL UNIQUE,
    access_token     TEXT   NOT NULL,
    user_id          TEXT,
    cart_id          TEXT   NOT NULL,
    cart_version     BIGINT NOT NULL CHECK (cart_version >= 0),
    email            TEXT   NOT NULL,
    -- The address in lower case, by which it is searched.
    email_key        TEXT   NOT NULL,
    -- Digest of what was agreed to: tells a repeat from another placement with the same id.
    placement        TEXT   NOT NULL,
    stage            TEXT   NOT NULL CHECK (stage IN
        ('pending', 'awaiting_action', 'giving_up', 'confirmed', 'canceling', 'completed', 'canceled')),
    currency         TEXT   NOT NULL CHECK (length(currency) = 3),
    subtotal         BIGINT NOT NULL CHECK (subtotal >= 0),
    shipping         BIGINT NOT NULL CHECK (shipping >= 0),
    tax              BIGINT NOT NULL CHECK (tax >= 0),
    total            BIGINT NOT NULL CHECK (total = subtotal + shipping + tax),
    units            BIGINT NOT NULL CHECK (units > 0),
    fulfilled        BIGINT NOT NULL CHECK (fulfilled >= 0),
    withdrawn        BIGINT NOT NULL CHECK (withdrawn >= 0 AND fulfilled + withdrawn <= units),
    shipping_method  TEXT   NOT NULL,
    shipping_address TEXT   NOT NULL,
    billing_address  TEXT   NOT NULL,
    payment_provider TEXT   NOT NULL,
    -- The provider's token; erased as soon as the authorization needs no repeat.
    payment_token    TEXT   NOT NULL,
    return_url       TEXT   NOT NULL,
    capture          TEXT   NOT NULL CHECK (capture IN ('automatic', 'manual')),
    -- Null until the payment has told something.
    payment_state    TEXT   CHECK (payment_state IN
        ('pending', 'requires_action', 'authorized', 'declined', 'voided')),
    authorized       BIGINT NOT NULL CHECK (authorized BETWEEN 0 AND total),
    captured         BIGINT NOT NULL CHECK (captured BETWEEN 0 AND authorized),
    refunded         BIGINT NOT NULL CHECK (refunded BETWEEN 0 AND captured),
    action_url       TEXT   NOT NULL,
    decline_code     TEXT,
    decline_message  TEXT,
    cancel_reason    TEXT   NOT NULL,
    -- Whether somebody must be told of the cancellation.
    announce         BIGINT NOT NULL CHECK (announce IN (0, 1)),
    placed_at        BIGINT NOT NULL,
    confirmed_at     BIGINT,
    canceled_at      BIGINT,
    version          BIGINT NOT NULL CHECK (version > 0)
);

-- One cart makes one order: two submits of one cart meet here.
CREATE UNIQUE INDEX order_orders_active_cart ON order_orders (cart_id) WHERE stage <> 'canceled';
CREATE INDEX order_orders_newest ON order_orders (placed_at, id);
CREATE INDEX order_orders_of_user ON order_orders (user_id, placed_at, id);
CREATE INDEX order_orders_by_email ON order_orders (email_key);

CREATE TABLE order_lines (
    order_id      TEXT   NOT NULL REFERENCES order_orders (id),
    variant_id    TEXT   NOT NULL,
    place         BIGINT NOT NULL,
    product_id    TEXT   NOT NULL,
    title         TEXT   NOT NULL,
    variant_title TEXT   NOT NULL,
    sku           TEXT   NOT NULL,
    image_url     TEXT   NOT NULL,
    quantity      BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    unit_minor    BIGINT NOT NULL CHECK (unit_minor >= 0),
    total_minor   BIGINT NOT NULL CHECK (total_minor = unit_minor * quantity),
    tax_minor     BIGINT NOT NULL CHECK (tax_minor >= 0),
    fulfilled     BIGINT NOT NULL CHECK (fulfilled >= 0),
    -- Put back on the shelf before they were handed over: they never will be.
    withdrawn     BIGINT NOT NULL CHECK (withdrawn >= 0 AND fulfilled + withdrawn <= quantity),
    -- Handed over, sent back and put back on the shelf.
    returned      BIGINT NOT NULL CHECK (returned BETWEEN 0 AND fulfilled),
    PRIMARY KEY (order_id, variant_id)
);

CREATE TABLE order_shipments (
    order_id        TEXT   NOT NULL REFERENCES order_orders (id),
    -- The command that made it.
    id              TEXT   NOT NULL,
    place           BIGINT NOT NULL,
    -- Units by variant, as a JSON object.
    units           TEXT   NOT NULL,
    carrier         TEXT   NOT NULL,
    tracking_number TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (order_id, id)
);

CREATE TABLE order_commands (
    order_id  TEXT   NOT NULL REFERENCES order_orders (id),
    id        TEXT   NOT NULL,
    -- Digest of what was asked: tells a repeat from another command with the same id.
    digest    TEXT   NOT NULL,
    -- What is to be done, decided once, as JSON.
    task      TEXT   NOT NULL,
    state     TEXT   NOT NULL CHECK (state IN ('open', 'done', 'refused')),
    -- Why it was refused, as JSON; null otherwise.
    refusal   TEXT,
    opened_at BIGINT NOT NULL,
    PRIMARY KEY (order_id, id)
);

-- One at a time: what a command decided still holds when its effects are made.
CREATE UNIQUE INDEX order_commands_open ON order_commands (order_id) WHERE state = 'open';

CREATE TABLE order_timeline (
    order_id TEXT   NOT NULL REFERENCES order_orders (id),
    -- The version of the order that the entry came with, and its place among those of that version.
    version  BIGINT NOT NULL,
    place    BIGINT NOT NULL,
    kind     TEXT   NOT NULL,
    detail   TEXT   NOT NULL,
    actor    TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (order_id, version, place)
);

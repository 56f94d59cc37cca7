-- Accounts, their sessions, the tokens that were mailed, and address books.
-- Secrets are never here: passwords are Argon2id hashes, tokens are SHA-256 digests.

CREATE TABLE user_users (
    id             TEXT   NOT NULL PRIMARY KEY,
    email          TEXT   NOT NULL,
    email_key      TEXT   NOT NULL UNIQUE,
    email_verified BIGINT NOT NULL CHECK (email_verified IN (0, 1)),
    name           TEXT   NOT NULL,
    role           TEXT   NOT NULL CHECK (role IN ('shopper', 'staff')),
    disabled       BIGINT NOT NULL CHECK (disabled IN (0, 1)),
    password_hash  TEXT   NOT NULL CHECK (length(password_hash) > 0),
    created_at     BIGINT NOT NULL,
    -- When a session was last opened. Writing it makes a sign-in wait for a change of the account, and the other way round.
    signed_in_at   BIGINT NOT NULL,
    -- Of the profile; a change of the password alone is guarded by the hash that it replaces.
    version        BIGINT NOT NULL CHECK (version > 0),
    -- Of the address book.
    book_version   BIGINT NOT NULL CHECK (book_version >= 0)
);

CREATE INDEX user_users_newest ON user_users (created_at, id);

-- One row: how many members of staff are not disabled. It makes those who could empty the shop of staff wait for each other.
CREATE TABLE user_staffing (
    one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    active BIGINT NOT NULL CHECK (active >= 0)
);

INSERT INTO user_staffing (one, active) VALUES (1, 0);

-- Open sessions. A session that ends is deleted.
CREATE TABLE user_sessions (
    id             TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL REFERENCES user_users (id),
    device         TEXT   NOT NULL,
    -- Digest of the part that all refresh tokens of the session share.
    family_hash    TEXT   NOT NULL UNIQUE CHECK (length(family_hash) = 64),
    -- Digest of the refresh token that renews the session next.
    token_hash     TEXT   NOT NULL CHECK (length(token_hash) = 64),
    -- Digest of the token before it, and the salt from which its successor is made again; empty before the first renewal.
    previous_hash  TEXT   NOT NULL,
    successor_salt TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    renewed_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);

CREATE INDEX user_sessions_of_user ON user_sessions (user_id, expires_at);

-- Tokens that were mailed and not used: one of each purpose for a user, so that a new one replaces the old.
CREATE TABLE user_mail_tokens (
    user_id    TEXT   NOT NULL REFERENCES user_users (id),
    purpose    TEXT   NOT NULL CHECK (purpose IN ('password_reset', 'verification')),
    token_hash TEXT   NOT NULL UNIQUE CHECK (length(token_hash) = 64),
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, purpose)
);

CREATE TABLE user_addresses (
    user_id          TEXT   NOT NULL REFERENCES user_users (id),
    id               TEXT   NOT NULL,
    -- The version of the book that the address came with: the order of its making.
    ordinal          BIGINT NOT NULL,
    name             TEXT   NOT NULL,
    company          TEXT   NOT NULL,
    line1            TEXT   NOT NULL,
    line2            TEXT   NOT NULL,
    city             TEXT   NOT NULL,
    region           TEXT   NOT NULL,
    postal_code      TEXT   NOT NULL,
    country          TEXT   NOT NULL CHECK (length(country) = 2),
    phone            TEXT   NOT NULL,
    default_shipping BIGINT NOT NULL CHECK (default_shipping IN (0, 1)),
    default_billing  BIGINT NOT NULL CHECK (default_billing IN (0, 1)),
    PRIMARY KEY (user_id, id)
);

CREATE UNIQUE INDEX user_addresses_one_default_shipping ON user_addresses (user_id) WHERE default_shipping = 1;
CREATE UNIQUE INDEX user_addresses_one_default_billing ON user_addresses (user_id) WHERE default_billing = 1;

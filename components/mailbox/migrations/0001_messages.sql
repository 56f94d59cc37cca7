-- Messages that were kept instead of sent, by the key that makes a repeat harmless.
CREATE TABLE mailbox_messages (
    key       TEXT   NOT NULL PRIMARY KEY,
    recipient TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    body_text TEXT   NOT NULL,
    body_html TEXT   NOT NULL,
    sent_at   BIGINT NOT NULL
);

CREATE INDEX mailbox_messages_newest ON mailbox_messages (sent_at, key);

-- Messages to people, rendered once and kept as they were. A queued one knows the event that will send it;
-- every other event of the topic that names it is late and does nothing.
CREATE TABLE notification_messages (
    id         TEXT   NOT NULL PRIMARY KEY,
    event_id   TEXT   NOT NULL,
    template   TEXT   NOT NULL,
    channel    TEXT   NOT NULL,
    recipient  TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    body_text  TEXT   NOT NULL,
    body_html  TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
    due_event  TEXT,
    due_at     BIGINT,
    reference  TEXT   NOT NULL,
    attempts   BIGINT NOT NULL CHECK (attempts BETWEEN 0 AND 100),
    resends    BIGINT NOT NULL CHECK (resends >= 0),
    last_error TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    CHECK ((state = 'queued') = (due_event IS NOT NULL)),
    CHECK ((state = 'queued') = (due_at IS NOT NULL))
);

CREATE INDEX notification_messages_newest ON notification_messages (created_at, id);
CREATE INDEX notification_messages_recipient ON notification_messages (recipient, created_at, id);

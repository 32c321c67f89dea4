CREATE SCHEMA chat;

-- distribute: chat.usage by account_id
CREATE TABLE chat.usage (
    account_id bigint NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    requests bigint NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (account_id, day, model)
);

-- What all accounts together were answered in an hour (UTC), so that nobody adds up the ledger to say so.
-- distribute: chat.hourly by at
CREATE TABLE chat.hourly (
    at timestamptz NOT NULL,
    model text NOT NULL,
    answers bigint NOT NULL,
    -- Read and written; also by what isn't an answer, as a title.
    tokens bigint NOT NULL,
    PRIMARY KEY (at, model)
);

-- distribute: chat.thread by account_id
CREATE TABLE chat.thread (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    title text NOT NULL,
    -- Whether somebody has named it: then no model does.
    named boolean NOT NULL DEFAULT false,
    model text NOT NULL,
    -- The message on which its reader last stood.
    head_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);
CREATE INDEX thread_newest ON chat.thread (account_id, updated_at DESC, id DESC);

-- A tree by parent_id: who edits a question or asks for another answer makes a sibling, and nothing is lost.
-- distribute: chat.message by account_id
CREATE TABLE chat.message (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    thread_id bigint NOT NULL,
    parent_id bigint,
    -- Messages before it on its path.
    depth integer NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    file_ids bigint[] NOT NULL DEFAULT '{}',
    status text NOT NULL,
    model text,
    tokens_in integer NOT NULL DEFAULT 0,
    tokens_out integer NOT NULL DEFAULT 0,
    error text,
    flagged boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- While it is being written: when its process last said so.
    beat_at timestamptz,
    -- Of what is finished: an answer is noted once a second while it is written, which must touch no index.
    words tsvector GENERATED ALWAYS AS (
        CASE WHEN status IN ('queued', 'streaming') THEN ''::tsvector ELSE to_tsvector('simple', left(text, 100000)) END
    ) STORED,
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, thread_id) REFERENCES chat.thread (account_id, id) ON DELETE CASCADE
) WITH (fillfactor = 85);
CREATE INDEX message_thread ON chat.message (account_id, thread_id, id);
CREATE INDEX message_words ON chat.message USING gin (words);
CREATE INDEX message_open ON chat.message (account_id) WHERE status IN ('queued', 'streaming');

-- A key that a client gave to a question, so that sending it twice asks once.
-- distribute: chat.idempotency by account_id
CREATE TABLE chat.idempotency (
    account_id bigint NOT NULL,
    thread_id bigint NOT NULL,
    key text NOT NULL,
    question_id bigint NOT NULL,
    answer_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, thread_id, key),
    FOREIGN KEY (account_id, thread_id) REFERENCES chat.thread (account_id, id) ON DELETE CASCADE
);
CREATE INDEX idempotency_age ON chat.idempotency (created_at);

-- What was said on a path up to a message, in short.
-- distribute: chat.summary by account_id
CREATE TABLE chat.summary (
    account_id bigint NOT NULL,
    thread_id bigint NOT NULL,
    message_id bigint NOT NULL,
    -- Messages that it tells of: those from the beginning to this one.
    covers integer NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, thread_id, message_id),
    FOREIGN KEY (account_id, thread_id) REFERENCES chat.thread (account_id, id) ON DELETE CASCADE
);

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

-- What messages are about. A search looks along one path of one conversation, so at some thousand rows at most, by key:
-- that is exact, where an index of all vectors would find its nearest in other conversations first.
-- distribute: chat.turn by account_id
CREATE TABLE chat.turn (
    account_id bigint NOT NULL,
    thread_id bigint NOT NULL,
    message_id bigint NOT NULL,
    embedding public.vector(384) NOT NULL,
    PRIMARY KEY (account_id, thread_id, message_id),
    FOREIGN KEY (account_id, thread_id) REFERENCES chat.thread (account_id, id) ON DELETE CASCADE
);

-- What moderation has flagged, for people to look at.
-- distribute: chat.flagged by account_id
CREATE TABLE chat.flagged (
    account_id bigint NOT NULL,
    -- Of the message, or of the file.
    id bigint NOT NULL,
    side text NOT NULL,
    -- Categories and their scores.
    scores jsonb NOT NULL,
    -- Without what identifies somebody.
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When somebody has looked at it.
    reviewed_at timestamptz,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX flagged_waiting ON chat.flagged (id DESC) WHERE reviewed_at IS NULL;

-- What was attached to questions; the bytes are objects.
-- distribute: chat.file by account_id
CREATE TABLE chat.file (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    -- The conversation that has it, once it was sent with a question. Another way to ask it may have it too.
    thread_id bigint,
    name text NOT NULL,
    type text NOT NULL,
    size integer NOT NULL,
    key text NOT NULL,
    -- What a model is told of it, and how that was found out.
    text text NOT NULL,
    tokens integer NOT NULL,
    how text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, thread_id) REFERENCES chat.thread (account_id, id) ON DELETE CASCADE
);
CREATE INDEX file_thread ON chat.file (account_id, thread_id);
-- One that no question wanted for a day is removed.
CREATE INDEX file_unused ON chat.file (created_at) WHERE thread_id IS NULL;

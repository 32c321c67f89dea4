CREATE SCHEMA messages;

-- What somebody has decided about themselves; who has no row has decided nothing.
-- distribute: messages.person by account_id
CREATE TABLE messages.person (
    account_id bigint NOT NULL,
    read_receipts boolean NOT NULL DEFAULT true,
    last_seen text NOT NULL DEFAULT 'everyone',
    seen_at timestamptz,
    PRIMARY KEY (account_id)
);

-- distribute: messages.block by account_id
CREATE TABLE messages.block (
    account_id bigint NOT NULL,
    blocked_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, blocked_id)
);

-- distribute: messages.device by account_id
CREATE TABLE messages.device (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    identity_key text NOT NULL,
    signing_key text NOT NULL,
    signature text NOT NULL,
    fallback_id text NOT NULL,
    fallback_key text NOT NULL,
    fallback_signature text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz,
    -- A browser's push subscription.
    push jsonb,
    PRIMARY KEY (account_id, id)
);

-- distribute: messages.one_time_key by account_id
CREATE TABLE messages.one_time_key (
    account_id bigint NOT NULL,
    device_id bigint NOT NULL,
    id text NOT NULL,
    key text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (account_id, device_id, id)
);

-- Its row is locked while messages are numbered, so numbers have no gaps and are given in the order of commits.
-- distribute: messages.conversation by id
CREATE TABLE messages.conversation (
    id bigint NOT NULL,
    kind text NOT NULL,
    revision bigint NOT NULL DEFAULT 1,
    last_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    invite text,
    invite_by bigint,
    invite_ends_at timestamptz,
    PRIMARY KEY (id)
) WITH (fillfactor = 70);

-- distribute: messages.member by conversation_id
CREATE TABLE messages.member (
    conversation_id bigint NOT NULL,
    account_id bigint NOT NULL,
    role text NOT NULL,
    -- Everything up to these has reached a device, or was read.
    delivered bigint NOT NULL DEFAULT 0,
    read bigint NOT NULL DEFAULT 0,
    -- In a conversation of two: whether this one has blocked the other. Nothing is put into their inboxes then.
    blocks boolean NOT NULL DEFAULT false,
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, account_id)
) WITH (fillfactor = 70);

-- The devices of a conversation's members, kept beside it, so that sending reads one partition.
-- distribute: messages.member_device by conversation_id
CREATE TABLE messages.member_device (
    conversation_id bigint NOT NULL,
    account_id bigint NOT NULL,
    device_id bigint NOT NULL,
    PRIMARY KEY (conversation_id, account_id, device_id)
);

-- The same memberships by account, for lists of somebody's conversations.
-- distribute: messages.membership by account_id
CREATE TABLE messages.membership (
    account_id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    -- The other, in a conversation of two.
    peer_id bigint,
    PRIMARY KEY (account_id, conversation_id)
);
CREATE UNIQUE INDEX membership_peer ON messages.membership (account_id, peer_id) WHERE peer_id IS NOT NULL;

-- Groups by the key of who began them, so that beginning one again makes no second one.
-- distribute: messages.begun by account_id
CREATE TABLE messages.begun (
    account_id bigint NOT NULL,
    key text NOT NULL,
    conversation_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);

-- What was sent, without what was said: which number a client's id has got. Forgotten after a while.
-- distribute: messages.sent by conversation_id
CREATE TABLE messages.sent (
    conversation_id bigint NOT NULL,
    device_id bigint NOT NULL,
    id text NOT NULL,
    -- 0: a note.
    seq bigint NOT NULL,
    account_id bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (conversation_id, device_id, id)
);
CREATE INDEX sent_by_seq ON messages.sent (conversation_id, seq);
CREATE INDEX sent_by_time ON messages.sent (at);

-- What waits for a device, sealed. Acknowledging deletes it; nothing else keeps a message.
-- distribute: messages.inbox by account_id
CREATE TABLE messages.inbox (
    account_id bigint NOT NULL,
    device_id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    seq bigint NOT NULL,
    id text NOT NULL,
    sender_id bigint NOT NULL,
    sender_device_id bigint NOT NULL,
    -- Milliseconds since 1970, and the time at which it ends.
    at bigint NOT NULL,
    ends_at bigint NOT NULL,
    expires bigint NOT NULL,
    content text,
    -- 0 or 1, and the Olm message.
    kind smallint,
    body text,
    PRIMARY KEY (account_id, device_id, conversation_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.5);
CREATE INDEX inbox_ending ON messages.inbox (ends_at);

-- distribute: messages.note by account_id
CREATE TABLE messages.note (
    account_id bigint NOT NULL,
    device_id bigint NOT NULL,
    -- By which it is acknowledged.
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    message_id text NOT NULL,
    sender_id bigint NOT NULL,
    sender_device_id bigint NOT NULL,
    at bigint NOT NULL,
    ends_at bigint NOT NULL,
    kind smallint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (account_id, device_id, id)
);
CREATE INDEX note_ending ON messages.note (ends_at);

-- Sealed bytes that a client uploads in parts. The id is random and its own key: who knows it may fetch them.
-- distribute: messages.upload by id
CREATE TABLE messages.upload (
    id text NOT NULL,
    account_id bigint NOT NULL,
    size bigint NOT NULL,
    part integer NOT NULL,
    have integer[] NOT NULL DEFAULT '{}',
    finished boolean NOT NULL DEFAULT false,
    ends_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);
CREATE INDEX upload_ending ON messages.upload (ends_at);

-- Bytes of what an account has uploaded, so that its limit is checked without adding up.
-- distribute: messages.stored by account_id
CREATE TABLE messages.stored (
    account_id bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (account_id)
);

-- distribute: messages.backup by account_id
CREATE TABLE messages.backup (
    account_id bigint NOT NULL,
    version integer NOT NULL,
    sealed text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id)
);

-- distribute: messages.backup_part by account_id
CREATE TABLE messages.backup_part (
    account_id bigint NOT NULL,
    version integer NOT NULL,
    number integer NOT NULL,
    bytes integer NOT NULL,
    PRIMARY KEY (account_id, version, number)
);

-- What people report, with what they chose to quote, until somebody has looked at it.
-- distribute: messages.report by id
CREATE TABLE messages.report (
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    by_id bigint NOT NULL,
    conversation_id bigint,
    reason text NOT NULL,
    quoted text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    PRIMARY KEY (id)
);
CREATE INDEX report_waiting ON messages.report (id) WHERE closed_at IS NULL;

-- Conversations are their people's, wherever the documents are.
-- distribute: answers.conversation by account_id
CREATE TABLE answers.conversation (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    collection_id bigint NOT NULL,
    title text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);
CREATE INDEX conversation_recent ON answers.conversation (account_id, collection_id, updated_at DESC, id DESC);

-- A question, from before anything is done about it; with its answer once there is one.
-- distribute: answers.question by account_id
CREATE TABLE answers.question (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    collection_id bigint NOT NULL,
    question text NOT NULL,
    -- The answer as JSON; null until it is whole.
    answer bytea,
    good boolean,
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, conversation_id) REFERENCES answers.conversation (account_id, id) ON DELETE CASCADE
);
CREATE INDEX question_conversation ON answers.question (account_id, conversation_id, id);

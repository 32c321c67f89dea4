-- What `tenfold eval` has found, whole: nobody asks for a part of it.
-- reference: answers.evaluation
CREATE TABLE answers.evaluation (
    id bigint NOT NULL,
    name text NOT NULL,
    report jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);

-- distribute: answers.experiment by collection_id
CREATE TABLE answers.experiment (
    collection_id bigint NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    -- Who stays with one variant: "conversation" or "account".
    unit text NOT NULL,
    -- What decides: "acceptance" or "clicks".
    metric text NOT NULL,
    -- Each with its name, its weight and how it answers; the first is what the others are compared with.
    variants jsonb NOT NULL,
    -- Questions that each variant is to have before it is decided.
    needed integer NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    PRIMARY KEY (collection_id, id),
    FOREIGN KEY (collection_id) REFERENCES answers.collection (id) ON DELETE CASCADE
);
-- Two at once would answer a question in two ways.
CREATE UNIQUE INDEX experiment_running ON answers.experiment (collection_id) WHERE ended_at IS NULL;

-- How questions went, without a word of them: figures stay when somebody deletes a conversation, and one collection's are
-- read in one place wherever its conversations are kept.
-- distribute: answers.outcome by collection_id
CREATE TABLE answers.outcome (
    collection_id bigint NOT NULL,
    -- The answer's.
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    variant text NOT NULL,
    -- "answered", "unknown" (it said that it doesn't know), "failed", "late".
    state text NOT NULL,
    cached boolean NOT NULL,
    -- Milliseconds, from the question to the end of the answer.
    took double precision NOT NULL,
    faithfulness double precision,
    -- Passages that were shown, and the first of those that were clicked, counted from 1.
    shown integer NOT NULL,
    clicked integer,
    good boolean,
    accepted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, id),
    FOREIGN KEY (collection_id) REFERENCES answers.collection (id) ON DELETE CASCADE
);
CREATE INDEX outcome_time ON answers.outcome (collection_id, created_at);

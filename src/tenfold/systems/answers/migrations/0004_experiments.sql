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

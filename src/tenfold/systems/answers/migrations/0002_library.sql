ALTER TABLE answers.collection
    ADD COLUMN description text NOT NULL DEFAULT '',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    -- From then on nobody sees it; what is in it goes behind that, a little at a time.
    ADD COLUMN removed_at timestamptz;

-- A document as somebody gave it to us. It is in the index under the same id once it has been read.
-- distribute: answers.upload by collection_id
CREATE TABLE answers.upload (
    collection_id bigint NOT NULL,
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    name text NOT NULL,
    -- The address it is fetched from, if it is.
    source text NOT NULL,
    media_type text NOT NULL,
    tags text[] NOT NULL,
    -- Of the bytes that came last: how many came before under this name, and their object; none before they are fetched.
    number integer NOT NULL DEFAULT 1,
    size bigint NOT NULL DEFAULT 0,
    digest bytea NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
    state text NOT NULL,
    reason text NOT NULL DEFAULT '',
    progress real,
    job_id bigint NOT NULL DEFAULT 0,
    -- Of the bytes that were read last; what is in the index.
    version integer NOT NULL DEFAULT 0,
    title text NOT NULL DEFAULT '',
    kind text NOT NULL DEFAULT '',
    pages integer NOT NULL DEFAULT 0,
    chunks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, id),
    UNIQUE (collection_id, name),
    FOREIGN KEY (collection_id) REFERENCES answers.collection (id) ON DELETE CASCADE
);
CREATE INDEX upload_digest ON answers.upload (collection_id, digest);
CREATE INDEX upload_job ON answers.upload (job_id) WHERE state IN ('waiting', 'reading');
CREATE INDEX upload_account ON answers.upload (account_id) INCLUDE (size);

-- What a document says, for whoever looks at it; chunks and citations are places in it.
-- distribute: answers.reading by collection_id
CREATE TABLE answers.reading (
    collection_id bigint NOT NULL,
    document_id bigint NOT NULL,
    text text NOT NULL,
    -- Block structs as JSON.
    blocks bytea NOT NULL,
    PRIMARY KEY (collection_id, document_id),
    FOREIGN KEY (collection_id, document_id) REFERENCES answers.upload (collection_id, id) ON DELETE CASCADE
);

-- Embeddings of a document that is being read, so that a process that dies takes none of them along.
-- distribute: answers.prepared by collection_id
CREATE TABLE answers.prepared (
    collection_id bigint NOT NULL,
    document_id bigint NOT NULL,
    digest bytea NOT NULL,
    -- Numbers of two bytes, as they are indexed.
    embedding bytea NOT NULL,
    PRIMARY KEY (collection_id, document_id, digest),
    FOREIGN KEY (collection_id, document_id) REFERENCES answers.upload (collection_id, id) ON DELETE CASCADE
);

-- The bytes of a version.
ALTER TABLE answers.document_version
    ADD COLUMN size bigint NOT NULL DEFAULT 0,
    ADD COLUMN key text NOT NULL DEFAULT '';

-- Objects that nothing needs from then on: named before they come to be, taken out when a row has them, and named again
-- when it hasn't any more. So whatever ends in between, none is left for ever.
-- distribute: answers.doomed by collection_id
CREATE TABLE answers.doomed (
    collection_id bigint NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (collection_id, key)
);
CREATE INDEX doomed_due ON answers.doomed (due_at);

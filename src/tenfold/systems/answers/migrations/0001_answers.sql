CREATE SCHEMA answers;

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

-- What belongs to one collection lies on one server, and each search names one: it never asks a second.
-- distribute: answers.collection by id
CREATE TABLE answers.collection (
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);
CREATE INDEX collection_account ON answers.collection (account_id, id);

-- distribute: answers.document by collection_id
CREATE TABLE answers.document (
    collection_id bigint NOT NULL,
    id bigint NOT NULL,
    title text NOT NULL,
    -- Where it came from: an address, a path.
    source text NOT NULL,
    kind text NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    -- When it was written, as far as is known.
    dated_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    digest bytea NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, id),
    FOREIGN KEY (collection_id) REFERENCES answers.collection (id) ON DELETE CASCADE
);

-- What a document was before; its bytes are objects.
-- distribute: answers.document_version by collection_id
CREATE TABLE answers.document_version (
    collection_id bigint NOT NULL,
    document_id bigint NOT NULL,
    version integer NOT NULL,
    digest bytea NOT NULL,
    chunks integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, document_id, version),
    FOREIGN KEY (collection_id, document_id) REFERENCES answers.document (collection_id, id) ON DELETE CASCADE
);

-- distribute: answers.chunk by collection_id
CREATE TABLE answers.chunk (
    collection_id bigint NOT NULL,
    id bigint NOT NULL,
    document_id bigint NOT NULL,
    ordinal integer NOT NULL,
    -- Headings above it, the outermost first.
    headings text[] NOT NULL,
    page integer,
    -- Characters of the document's text at which it begins and ends.
    begins integer NOT NULL,
    ends integer NOT NULL,
    text text NOT NULL,
    -- Of the language model, and of BM25: without stop words, with title and headings.
    tokens integer NOT NULL,
    terms integer NOT NULL,
    -- Of all that is searched. What keeps it keeps its row, its embedding and its postings.
    digest bytea NOT NULL,
    PRIMARY KEY (collection_id, id),
    FOREIGN KEY (collection_id, document_id) REFERENCES answers.document (collection_id, id) ON DELETE CASCADE
);
CREATE INDEX chunk_document ON answers.chunk (collection_id, document_id, ordinal);

-- Apart from the chunks, so that moving one within its document leaves the graph alone, and so that comparing many
-- vectors reads nothing else. Half precision: half the memory, and the same neighbours (docs/decisions/0031).
-- distribute: answers.embedding by collection_id
CREATE TABLE answers.embedding (
    collection_id bigint NOT NULL,
    chunk_id bigint NOT NULL,
    document_id bigint NOT NULL,
    embedding public.halfvec(384) NOT NULL,
    PRIMARY KEY (collection_id, chunk_id),
    FOREIGN KEY (collection_id, chunk_id) REFERENCES answers.chunk (collection_id, id) ON DELETE CASCADE
);
ALTER TABLE answers.embedding ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX embedding_near ON answers.embedding USING hnsw (embedding public.halfvec_cosine_ops)
    WITH (m = 16, ef_construction = 64);

-- BM25 is kept as Lucene keeps it: segments that never change, small ones made by each write and merged later. So writers
-- don't wait for each other, and a process may keep what it has read of one for as long as it likes.
-- distribute: answers.segment by collection_id
CREATE TABLE answers.segment (
    collection_id bigint NOT NULL,
    id bigint NOT NULL,
    chunks integer NOT NULL,
    -- Terms of all its chunks, which gives their average.
    terms bigint NOT NULL,
    -- Whether its postings are in the body; else they are rows.
    packed boolean NOT NULL,
    -- Which chunks, of which documents, and their lengths: see rules/segments.py.
    body bytea NOT NULL,
    PRIMARY KEY (collection_id, id),
    FOREIGN KEY (collection_id) REFERENCES answers.collection (id) ON DELETE CASCADE
);
-- Numbers don't compress, and are wanted quickly.
ALTER TABLE answers.segment ALTER COLUMN body SET STORAGE EXTERNAL;

-- distribute: answers.posting by collection_id
CREATE TABLE answers.posting (
    collection_id bigint NOT NULL,
    segment_id bigint NOT NULL,
    term text NOT NULL,
    postings bytea NOT NULL,
    PRIMARY KEY (collection_id, segment_id, term),
    FOREIGN KEY (collection_id, segment_id) REFERENCES answers.segment (collection_id, id) ON DELETE CASCADE
);
ALTER TABLE answers.posting ALTER COLUMN postings SET STORAGE EXTERNAL;

-- Chunks that are gone and that a segment still has. By chunk, not by place, so that a merge may move them meanwhile.
-- distribute: answers.dead by collection_id
CREATE TABLE answers.dead (
    collection_id bigint NOT NULL,
    chunk_id bigint NOT NULL,
    terms integer NOT NULL,
    PRIMARY KEY (collection_id, chunk_id),
    FOREIGN KEY (collection_id) REFERENCES answers.collection (id) ON DELETE CASCADE
);

-- Which event was handled by which consumer, written in the transaction of the handling. This, and not the
-- acknowledgement, makes a consumer's work happen once.
-- distribute: platform.inbox by event_id
CREATE TABLE platform.inbox (
    event_id text NOT NULL,
    consumer text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, consumer)
);

-- For the sweep. All rows of a transaction share a time, so the index stays small.
CREATE INDEX inbox_handled_at ON platform.inbox (handled_at);

-- Events that are committed and not yet in their stream. Empty most of the time, and rewritten without end, so it is
-- vacuumed early.
-- distribute: platform.outbox by id
CREATE TABLE platform.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    subject text NOT NULL,
    data bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.5);

-- When each schedule is due, and which process works on it now.
-- reference: platform.schedule
CREATE TABLE platform.schedule (
    name text PRIMARY KEY,
    due_at timestamptz NOT NULL,
    holder text,
    lease_until timestamptz,
    finished_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    error text
);

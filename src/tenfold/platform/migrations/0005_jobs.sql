-- Long work: what waits, what runs, and for some days what has ended. A queue is what is dispatched as a whole, so all
-- that decides who is next lies on one server. Workers renew their leases here every second, which changes no index and
-- so needs room in the page and no more.
-- distribute: platform.job by queue
CREATE TABLE platform.job (
    queue text NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL,
    -- Whose it is; 0 for the house's own.
    account_id bigint NOT NULL,
    priority smallint NOT NULL,
    -- The place among the waiting of its priority: start-time fair queueing, a turn a job of an account.
    turn bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    payload bytea NOT NULL,
    checkpoint bytea,
    -- The number of the lease, which everything that a worker writes must carry: it only grows.
    attempt integer NOT NULL DEFAULT 0,
    -- Attempts that failed, that ended with their process, and that something they need was away for.
    failures integer NOT NULL DEFAULT 0,
    deaths integer NOT NULL DEFAULT 0,
    stalls integer NOT NULL DEFAULT 0,
    cancelling boolean NOT NULL DEFAULT false,
    holder text,
    lease_until timestamptz,
    done double precision NOT NULL DEFAULT 0,
    total double precision,
    note text NOT NULL DEFAULT '',
    left_seconds double precision,
    noted_at timestamptz,
    error_code text,
    error text,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (queue, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- Who is next.
CREATE INDEX job_queued ON platform.job (queue, priority, turn, id) WHERE state = 'queued';
-- Whose lease has ended.
CREATE INDEX job_running ON platform.job (queue) WHERE state = 'running';
-- The last turns: that have begun, and of an account. What it did just now counts, or it could always go first again.
CREATE INDEX job_turn ON platform.job (queue, priority, turn);
CREATE INDEX job_own_turn ON platform.job (queue, account_id, priority, turn);
-- What an account has under way in a queue; and all that it ever asked for, newest first.
CREATE INDEX job_open ON platform.job (queue, account_id) WHERE state IN ('queued', 'running');
CREATE INDEX job_account_id ON platform.job (account_id, id);
-- How long the last ones took; and the sweep.
CREATE INDEX job_done ON platform.job (queue, kind, ended_at) WHERE state = 'done';
CREATE INDEX job_ended_at ON platform.job (ended_at) WHERE ended_at IS NOT NULL;

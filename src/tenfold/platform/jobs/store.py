"""SQL of jobs. Takes a transaction, returns structs, decides nothing.

What a worker writes carries the number of its attempt, and touches nothing once the job isn't that attempt's any more.
"""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.platform.jobs.types import Head, HeldJob, State, StoredJob

#: Seconds that a transaction may be silent while it holds the row of a job: a process that has stopped in the middle
#: of one would keep it from others for as long.
SILENCE = 10
#: Heads of a priority that are looked at: as many workers may grasp for the first at the same moment.
HEADS = 16

_COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(StoredJob))
_HELD = f"{_COLUMNS}, payload, checkpoint"


class Line(msgspec.Struct, frozen=True):
    """What stands in a queue when a job is submitted."""

    #: The turn of the first that waits for its first attempt, at that priority; and of the account's last.
    first: int | None
    own_last: int | None
    #: Jobs that the account has under way in the queue.
    own: int


class Standing(msgspec.Struct, frozen=True):
    """What the estimate of a start needs."""

    ahead: int
    running: int
    #: Seconds that jobs of this kind took lately.
    seconds: float | None


class Backlog(msgspec.Struct, frozen=True):
    queue: str
    queued: int
    running: int


class Beat(msgspec.Struct, frozen=True):
    """A sign of life of a running job, with its progress."""

    queue: str
    id: int
    attempt: int
    done: float
    total: float | None
    note: str
    left_seconds: float | None


class Alive(msgspec.Struct, frozen=True):
    id: int
    cancelling: bool


# People


async def lock_line(tx: Tx, queue: str, account_id: int) -> None:
    """Let others who submit for this account wait, or all would get the same turn and nobody met the bound."""
    await tx.value("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"jobs {queue} {account_id}")


async def find_line(tx: Tx, queue: str, priority: int, account_id: int, most: int) -> Line:
    """What a new job stands behind. The account's own are counted up to `most`."""
    # One that waits for its time or another attempt has an old turn, and would let newcomers go ahead of all others.
    sql = """SELECT
                 coalesce(
                     (SELECT turn FROM platform.job WHERE queue = $1 AND state = 'queued' AND priority = $2
                      AND attempt = 0 AND due_at <= now() ORDER BY turn LIMIT 1),
                     (SELECT turn FROM platform.job WHERE queue = $1 AND priority = $2 AND attempt > 0
                      ORDER BY turn DESC LIMIT 1)) AS first,
                 (SELECT turn FROM platform.job WHERE queue = $1 AND account_id = $3 AND priority = $2
                  ORDER BY turn DESC LIMIT 1) AS own_last,
                 (SELECT count(*) FROM (
                     SELECT FROM platform.job WHERE queue = $1 AND account_id = $3 AND state IN ('queued', 'running')
                     LIMIT $4) AS own) AS own"""
    return await tx.one(Line, sql, queue, priority, account_id, most)


async def insert_job(
    tx: Tx,
    queue: str,
    id: int,
    kind: str,
    account_id: int,
    priority: int,
    turn: int,
    payload: bytes,
    delay: float,
) -> StoredJob:
    sql = f"""INSERT INTO platform.job (queue, id, kind, account_id, priority, turn, state, payload, due_at)
              VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, now() + make_interval(secs => $8)) RETURNING {_COLUMNS}"""  # noqa: S608
    return await tx.one(StoredJob, sql, queue, id, kind, account_id, priority, turn, payload, delay)


async def find_job(tx: Tx, account_id: int, id: int) -> StoredJob | None:
    sql = f"SELECT {_COLUMNS} FROM platform.job WHERE account_id = $1 AND id = $2"  # noqa: S608
    return await tx.find(StoredJob, sql, account_id, id)


async def list_jobs(
    tx: Tx, account_id: int, state: State | None, kind: str | None, before: int | None, limit: int
) -> list[StoredJob]:
    sql = f"""SELECT {_COLUMNS} FROM platform.job
              WHERE account_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR kind = $3)
                AND ($4::bigint IS NULL OR id < $4)
              ORDER BY id DESC LIMIT $5"""  # noqa: S608
    return await tx.rows(StoredJob, sql, account_id, state, kind, before, limit)


async def cancel_job(tx: Tx, account_id: int, id: int) -> StoredJob | None:
    """End one that waits, ask one that runs to end. None when there is neither."""
    sql = f"""UPDATE platform.job SET cancelling = true,
                  state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                  ended_at = CASE WHEN state = 'queued' THEN now() END,
                  checkpoint = CASE WHEN state = 'running' THEN checkpoint END
              WHERE account_id = $1 AND id = $2 AND state IN ('queued', 'running') RETURNING {_COLUMNS}"""  # noqa: S608
    return await tx.find(StoredJob, sql, account_id, id)


async def find_standing(tx: Tx, job: StoredJob) -> Standing:
    """How many come before a job that waits (by priority and turns; of ten thousand at most), and how fast they go."""
    sql = """SELECT
                 (SELECT count(*) FROM (
                     SELECT FROM platform.job WHERE queue = $1 AND state = 'queued' AND due_at <= now()
                     AND (priority > $2 OR (priority = $2 AND (turn, id) < ($3, $4))) LIMIT 10000) AS before) AS ahead,
                 (SELECT count(*) FROM platform.job WHERE queue = $1 AND state = 'running') AS running,
                 (SELECT avg(EXTRACT(epoch FROM ended_at - started_at))::float8 FROM (
                     SELECT ended_at, started_at FROM platform.job WHERE queue = $1 AND kind = $5 AND state = 'done'
                     ORDER BY ended_at DESC LIMIT 20) AS last) AS seconds"""
    return await tx.one(Standing, sql, job.queue, job.priority, job.turn, job.id, job.kind)


# Workers


async def list_heads(tx: Tx, queue: str, kinds: Sequence[str], levels: int) -> list[Head]:
    """The first of each priority that are due."""
    sql = """SELECT head.* FROM generate_series(0, $3::int - 1) AS level CROSS JOIN LATERAL (
                 SELECT id, kind, priority, turn, EXTRACT(epoch FROM now() - due_at)::float8 AS waited, deaths
                 FROM platform.job
                 WHERE queue = $1 AND state = 'queued' AND priority = level AND kind = ANY($2::text[])
                   AND due_at <= now()
                 ORDER BY turn, id LIMIT $4) AS head"""
    return await tx.rows(Head, sql, queue, list(kinds), levels, HEADS)


async def lease_first(tx: Tx, queue: str, ids: Sequence[int], holder: str, seconds: float) -> HeldJob | None:
    """Give the first of these that nobody is just taking to a worker, as a new attempt."""
    sql = f"""UPDATE platform.job SET state = 'running', attempt = attempt + 1, holder = $3,
                  lease_until = now() + make_interval(secs => $4), started_at = coalesce(started_at, now()),
                  left_seconds = NULL, error_code = NULL, error = NULL
              WHERE queue = $1 AND id = (
                  SELECT id FROM platform.job WHERE queue = $1 AND id = ANY($2::bigint[]) AND state = 'queued'
                  ORDER BY array_position($2::bigint[], id) LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {_HELD}"""  # noqa: S608
    return await tx.find(HeldJob, sql, queue, list(ids), holder, seconds)


async def renew_leases(tx: Tx, beats: Sequence[Beat], seconds: float) -> list[Alive]:
    """Keep jobs, and note how far they are. Those that are still ours.

    One whose row is locked is passed over: it is in a transaction of its own work, or just being cancelled, and while
    that lasts nobody can take it.
    """
    renew = """WITH beat AS (
                   SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::float8[], $5::float8[], $6::text[],
                                        $7::float8[]) AS b (queue, id, attempt, done, total, note, left_seconds)),
               held AS (
                   SELECT j.queue, j.id FROM platform.job j JOIN beat b ON j.queue = b.queue AND j.id = b.id
                   WHERE j.attempt = b.attempt AND j.state = 'running' FOR UPDATE OF j SKIP LOCKED)
               UPDATE platform.job j SET lease_until = now() + make_interval(secs => $8), done = b.done,
                   total = b.total, note = b.note, left_seconds = b.left_seconds, noted_at = now()
               FROM beat b JOIN held USING (queue, id) WHERE j.queue = b.queue AND j.id = b.id
               RETURNING j.id, j.cancelling"""
    columns = [list(column) for column in zip(*map(msgspec.structs.astuple, beats), strict=True)]
    alive = await tx.rows(Alive, renew, *columns, seconds)
    if len(alive) == len(beats):
        return alive
    known = {each.id for each in alive}
    look = """SELECT j.id, j.cancelling FROM unnest($1::text[], $2::bigint[], $3::int[]) AS b (queue, id, attempt)
              JOIN platform.job j ON j.queue = b.queue AND j.id = b.id
              WHERE j.attempt = b.attempt AND j.state = 'running'"""
    return [*alive, *(each for each in await tx.rows(Alive, look, *columns[:3]) if each.id not in known)]


async def limit_silence(tx: Tx) -> None:
    """To be called before a transaction locks the row of a job."""
    await tx.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{SILENCE}s'")


async def hold_attempt(tx: Tx, queue: str, id: int, attempt: int, seconds: float) -> bool:
    """Hold off whoever would take the job, until the end of the transaction and so long after it. False: too late."""
    # By the clock, not by when the transaction began: it may have outlasted a lease.
    sql = """UPDATE platform.job SET lease_until = clock_timestamp() + make_interval(secs => $4)
             WHERE queue = $1 AND id = $2 AND attempt = $3 AND state = 'running'"""
    return await tx.execute(sql, queue, id, attempt, seconds) == 1


async def save_checkpoint(tx: Tx, queue: str, id: int, attempt: int, checkpoint: bytes) -> bool:
    sql = """UPDATE platform.job SET checkpoint = $4
             WHERE queue = $1 AND id = $2 AND attempt = $3 AND state = 'running'"""
    return await tx.execute(sql, queue, id, attempt, checkpoint) == 1


async def end_attempt(
    tx: Tx,
    beat: Beat,
    state: State,
    *,
    delay: float = 0.0,
    failures: int = 0,
    stalls: int = 0,
    code: str | None = None,
    error: str | None = None,
) -> StoredJob | None:
    """End an attempt: the job with it, or (state queued) until the next. None when it wasn't ours any more."""
    sql = f"""UPDATE platform.job SET
                  state = CASE WHEN $4 = 'queued' AND cancelling THEN 'cancelled' ELSE $4 END,
                  holder = NULL, lease_until = NULL, due_at = now() + make_interval(secs => $5),
                  failures = failures + $6, stalls = CASE WHEN $7 = 0 THEN 0 ELSE stalls + $7 END,
                  error_code = $8, error = $9, done = $10, total = $11, note = $12, left_seconds = NULL,
                  noted_at = now(), ended_at = CASE WHEN $4 = 'queued' AND NOT cancelling THEN NULL ELSE now() END,
                  checkpoint = CASE WHEN $4 = 'queued' AND NOT cancelling THEN checkpoint END
              WHERE queue = $1 AND id = $2 AND attempt = $3 AND state = 'running' RETURNING {_COLUMNS}"""  # noqa: S608
    return await tx.find(
        StoredJob,
        sql,
        *(beat.queue, beat.id, beat.attempt, state, delay, failures, stalls, code, error),
        *(beat.done, beat.total, beat.note),
    )


async def reclaim_lapsed(tx: Tx, queues: Sequence[str], most_deaths: int, code: str, error: str) -> list[StoredJob]:
    """Take jobs from processes that give no sign of life: back into their queues, or to their end."""
    # Passing over locked rows, no two processes that do this ever wait for each other.
    sql = f"""UPDATE platform.job SET
                  state = CASE WHEN cancelling THEN 'cancelled' WHEN deaths + 1 >= $2 THEN 'failed' ELSE 'queued' END,
                  error_code = CASE WHEN NOT cancelling AND deaths + 1 >= $2 THEN $3 END,
                  error = CASE WHEN NOT cancelling AND deaths + 1 >= $2 THEN $4 END,
                  ended_at = CASE WHEN cancelling OR deaths + 1 >= $2 THEN now() END,
                  deaths = deaths + 1, holder = NULL, lease_until = NULL, left_seconds = NULL, due_at = now()
              WHERE (queue, id) IN (
                  SELECT queue, id FROM platform.job WHERE queue = ANY($1::text[]) AND state = 'running'
                  AND lease_until < now() LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING {_COLUMNS}"""  # noqa: S608
    return await tx.rows(StoredJob, sql, list(queues), most_deaths, code, error)


# By the clock


async def count_backlog(tx: Tx) -> list[Backlog]:
    sql = """SELECT queue, count(*) FILTER (WHERE state = 'queued') AS queued,
                 count(*) FILTER (WHERE state = 'running') AS running
             FROM platform.job WHERE state IN ('queued', 'running') GROUP BY queue"""
    return await tx.rows(Backlog, sql)


async def delete_ended(tx: Tx, older_than: float, limit: int) -> int:
    sql = """DELETE FROM platform.job WHERE (queue, id) IN (
                 SELECT queue, id FROM platform.job WHERE ended_at < now() - make_interval(secs => $1)
                 ORDER BY ended_at LIMIT $2)"""
    return await tx.execute(sql, older_than, limit)

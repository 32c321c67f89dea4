-- reference: platform.counter
CREATE TABLE platform.counter (
    name text PRIMARY KEY,
    next bigint NOT NULL
);

-- reference: platform.worker
CREATE TABLE platform.worker (
    number integer PRIMARY KEY,
    lease_until timestamptz NOT NULL
);

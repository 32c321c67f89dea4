CREATE SCHEMA links;

-- distribute: links.link by code
CREATE TABLE links.link (
    code        text COLLATE "C" PRIMARY KEY,
    id          bigint NOT NULL,
    owner_id    bigint,
    url         text NOT NULL,
    title       text,
    tags        text[] NOT NULL DEFAULT '{}',
    status      smallint NOT NULL DEFAULT 302,
    expires_at  timestamptz,
    password    text,
    max_clicks  bigint,
    clicks_left bigint,
    enabled     boolean NOT NULL DEFAULT true
);
-- The owner's list, newest first.
CREATE INDEX link_of_owner ON links.link (owner_id, id) WHERE owner_id IS NOT NULL;
-- The owner's link to the same address, for reuse.
CREATE INDEX link_to_url ON links.link (owner_id, hashtextextended(url, 0)) WHERE owner_id IS NOT NULL;
-- What the sweep removes.
CREATE INDEX link_expiry ON links.link (expires_at) WHERE expires_at IS NOT NULL;

-- Clicks an hour. A row is either here or, once its day is some days old, folded into links.daily: never in both,
-- so the sum of the two counts each click once. The code "*" stands for all links, "@<id>" for all of an account,
-- "?" for codes that lead nowhere. dimension "" holds the totals; the others count people's clicks by value.
-- distribute: links.hourly by code
CREATE TABLE links.hourly (
    code      text COLLATE "C" NOT NULL,
    at        timestamptz NOT NULL,
    dimension text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    clicks    bigint NOT NULL,
    visitors  bigint NOT NULL,
    bots      bigint NOT NULL,
    PRIMARY KEY (code, at, dimension, value)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX hourly_age ON links.hourly USING brin (at);

-- distribute: links.daily by code
CREATE TABLE links.daily (
    code      text COLLATE "C" NOT NULL,
    at        date NOT NULL,
    dimension text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    clicks    bigint NOT NULL,
    visitors  bigint NOT NULL,
    bots      bigint NOT NULL,
    PRIMARY KEY (code, at, dimension, value)
);

-- Who was counted as a visitor today: hashes under a salt that is never kept longer than its day.
-- distribute: links.visitor by code
CREATE TABLE links.visitor (
    code    text COLLATE "C" NOT NULL,
    day     date NOT NULL,
    visitor bigint NOT NULL,
    PRIMARY KEY (code, day, visitor)
);
CREATE INDEX visitor_age ON links.visitor USING brin (day);

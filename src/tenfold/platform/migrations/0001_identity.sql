-- Who may come in. Everything of an account lies beside it, by the account's id; sessions and keys carry that id in what
-- the client shows, so each lookup touches one partition.

-- distribute: platform.account by id
CREATE TABLE platform.account (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    display_name text NOT NULL,
    tier text NOT NULL CHECK (tier IN ('free', 'plus', 'enterprise')),
    password_hash text NOT NULL,
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Only a table keyed by the name can keep names unique on many servers. The name is in lower case here.
-- distribute: platform.account_name by name
CREATE TABLE platform.account_name (
    name text PRIMARY KEY CHECK (name = lower(name)),
    account_id bigint NOT NULL
);

-- The digest is the SHA-256 of a secret of 256 random bits, so it needs no slow hash.
-- distribute: platform.session by account_id
CREATE TABLE platform.session (
    account_id bigint NOT NULL REFERENCES platform.account (id) ON DELETE CASCADE,
    id bigint NOT NULL,
    digest bytea NOT NULL,
    agent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);

-- distribute: platform.api_key by account_id
CREATE TABLE platform.api_key (
    account_id bigint NOT NULL REFERENCES platform.account (id) ON DELETE CASCADE,
    id bigint NOT NULL,
    digest bytea NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz,
    PRIMARY KEY (account_id, id)
);

-- Signs access tokens. The private half is sealed with a key that the database doesn't have.
-- reference: platform.signing_key
CREATE TABLE platform.signing_key (
    kid text PRIMARY KEY,
    public bytea NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

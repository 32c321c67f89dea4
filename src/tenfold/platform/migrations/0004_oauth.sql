-- Programs of others that registered themselves. Their id is in what they show as their client_id.
-- distribute: platform.oauth_application by id
CREATE TABLE platform.oauth_application (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    website text,
    redirect_uris text[] NOT NULL,
    scopes text[] NOT NULL,
    secret_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now()
);

-- For the sweep of those that nobody uses.
CREATE INDEX oauth_application_used_at ON platform.oauth_application (used_at);

-- Tokens that applications have for themselves.
-- distribute: platform.oauth_application_access by application_id
CREATE TABLE platform.oauth_application_access (
    application_id bigint NOT NULL REFERENCES platform.oauth_application (id) ON DELETE CASCADE,
    id bigint NOT NULL,
    digest bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application_id, id)
);

-- What an account allowed an application. It begins as a code (no access yet), or at once with a token. A token carries
-- access_id, which is new with each token, so that no process knows an older one by that name. The id stays, and is in
-- the code and in what renews the token.
-- distribute: platform.oauth_grant by account_id
CREATE TABLE platform.oauth_grant (
    account_id bigint NOT NULL REFERENCES platform.account (id) ON DELETE CASCADE,
    id bigint NOT NULL,
    application_id bigint NOT NULL,
    scopes text[] NOT NULL,
    code_digest bytea,
    redirect_uri text,
    challenge text,
    access_id bigint,
    access_digest bytea,
    access_ends_at timestamptz,
    refresh_digest bytea,
    family_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz,
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, access_id)
);

-- For the sweeps: whether anybody uses an application, and codes that nobody came for.
CREATE INDEX oauth_grant_application_id ON platform.oauth_grant (application_id);
CREATE INDEX oauth_grant_code ON platform.oauth_grant (created_at) WHERE access_id IS NULL;

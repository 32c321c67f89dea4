-- The social network. Posts are spread by their own id, as the case study has it; what is asked by author, reader, tag or
-- conversation has a narrow table of its own that is spread by that, so that each hot question is one partition's.

CREATE SCHEMA feed;

-- distribute: feed.account by id
CREATE TABLE feed.account (
    id bigint PRIMARY KEY,
    username text NOT NULL,
    display_name text NOT NULL,
    note text NOT NULL DEFAULT '',
    -- Keys of stored pictures; '' shows a drawn one.
    avatar text NOT NULL DEFAULT '',
    header text NOT NULL DEFAULT '',
    fields jsonb NOT NULL DEFAULT '[]',
    locked boolean NOT NULL DEFAULT false,
    bot boolean NOT NULL DEFAULT false,
    discoverable boolean NOT NULL DEFAULT true,
    default_visibility text NOT NULL DEFAULT 'public' CHECK (default_visibility IN ('public', 'unlisted', 'private')),
    default_sensitive boolean NOT NULL DEFAULT false,
    default_language text,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

-- Counted behind the fact, in batches, so that nobody waits for the row of a celebrity.
-- distribute: feed.account_count by account_id
CREATE TABLE feed.account_count (
    account_id bigint PRIMARY KEY,
    followers bigint NOT NULL DEFAULT 0,
    following bigint NOT NULL DEFAULT 0,
    statuses bigint NOT NULL DEFAULT 0,
    last_status_at date,
    -- When the threshold was first crossed: from then on readers merge this account's posts, for good.
    celebrity_since timestamptz
) WITH (fillfactor = 50);

-- Few rows, asked by every process.
CREATE INDEX celebrities ON feed.account_count (account_id) WHERE celebrity_since IS NOT NULL;

-- distribute: feed.username by name
CREATE TABLE feed.username (
    name text PRIMARY KEY CHECK (name = lower(name)),
    account_id bigint NOT NULL
);

-- Found by any part of their names.
-- distribute: feed.account_words by account_id
CREATE TABLE feed.account_words (
    account_id bigint PRIMARY KEY,
    words text NOT NULL
);
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
CREATE INDEX account_words_trigrams ON feed.account_words USING gin (words public.gin_trgm_ops);

-- Both directions of following, each spread by who asks.
-- distribute: feed.following by follower_id
CREATE TABLE feed.following (
    follower_id bigint NOT NULL,
    followee_id bigint NOT NULL,
    reblogs boolean NOT NULL DEFAULT true,
    notify boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (follower_id, followee_id)
);

-- Who is told of each post of somebody.
CREATE INDEX following_notified ON feed.following (followee_id, follower_id) WHERE notify;

-- distribute: feed.follower by followee_id
CREATE TABLE feed.follower (
    followee_id bigint NOT NULL,
    follower_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (followee_id, follower_id)
);

-- Followers of locked accounts that wait for an answer.
-- distribute: feed.follow_request by followee_id
CREATE TABLE feed.follow_request (
    followee_id bigint NOT NULL,
    follower_id bigint NOT NULL,
    reblogs boolean NOT NULL DEFAULT true,
    notify boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (followee_id, follower_id)
);

-- What keeps somebody's posts from a reader. 'blocked' is the other side of 'blocks'; 'unfollowed' hides what a fan-out under
-- way still delivers, for a day; 'requested' is the other side of a follow request.
-- distribute: feed.relation by account_id
CREATE TABLE feed.relation (
    account_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('blocks', 'blocked', 'mutes', 'unfollowed', 'requested')),
    other_id bigint NOT NULL,
    -- Of mutes: whether their notifications are hidden too, and when it ends.
    notifications boolean NOT NULL DEFAULT true,
    until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, kind, other_id)
);

-- A word about somebody that only its author sees.
-- distribute: feed.account_note by account_id
CREATE TABLE feed.account_note (
    account_id bigint NOT NULL,
    about_id bigint NOT NULL,
    comment text NOT NULL,
    PRIMARY KEY (account_id, about_id)
);

-- distribute: feed.post by id
CREATE TABLE feed.post (
    id bigint PRIMARY KEY,
    author_id bigint NOT NULL,
    text text NOT NULL,
    spoiler_text text NOT NULL DEFAULT '',
    visibility text NOT NULL CHECK (visibility IN ('public', 'unlisted', 'private', 'direct')),
    sensitive boolean NOT NULL DEFAULT false,
    language text,
    in_reply_to_id bigint,
    in_reply_to_account_id bigint,
    -- The first post of the thread; its own id when it is the first.
    conversation_id bigint NOT NULL,
    reblog_of_id bigint,
    mentions jsonb NOT NULL DEFAULT '[]',
    tags text[] NOT NULL DEFAULT '{}',
    media jsonb NOT NULL DEFAULT '[]',
    application jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at timestamptz,
    -- Words of the text, of alt texts and of tags; NULL for what can't be searched (a repost).
    search tsvector
);
CREATE INDEX post_search ON feed.post USING gin (search) WITH (fastupdate = off) WHERE search IS NOT NULL;
-- The local timeline.
CREATE INDEX post_public ON feed.post (id) WHERE visibility = 'public' AND reblog_of_id IS NULL;

-- distribute: feed.post_count by post_id
CREATE TABLE feed.post_count (
    post_id bigint PRIMARY KEY,
    favourites bigint NOT NULL DEFAULT 0,
    reblogs bigint NOT NULL DEFAULT 0,
    replies bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- What somebody wrote, newest first: profiles, rebuilt timelines, celebrities.
-- distribute: feed.authored by author_id
CREATE TABLE feed.authored (
    author_id bigint NOT NULL,
    post_id bigint NOT NULL,
    visibility text NOT NULL,
    reblog_of_id bigint,
    -- A reply to somebody else.
    reply boolean NOT NULL,
    -- Whom it answers; home timelines show replies to those who are followed.
    reply_to_account_id bigint,
    media boolean NOT NULL,
    pinned_at timestamptz,
    tags text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (author_id, post_id)
);

CREATE INDEX authored_pinned ON feed.authored (author_id) WHERE pinned_at IS NOT NULL;

-- distribute: feed.in_conversation by conversation_id
CREATE TABLE feed.in_conversation (
    conversation_id bigint NOT NULL,
    post_id bigint NOT NULL,
    in_reply_to_id bigint,
    PRIMARY KEY (conversation_id, post_id)
);

-- Public posts under a tag (lower case).
-- distribute: feed.tagged by tag
CREATE TABLE feed.tagged (
    tag text NOT NULL,
    post_id bigint NOT NULL,
    author_id bigint NOT NULL,
    media boolean NOT NULL,
    PRIMARY KEY (tag, post_id)
);

-- Earlier versions of edited posts, the first is 0.
-- distribute: feed.post_version by post_id
CREATE TABLE feed.post_version (
    post_id bigint NOT NULL,
    version integer NOT NULL,
    text text NOT NULL,
    spoiler_text text NOT NULL,
    sensitive boolean NOT NULL,
    media jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (post_id, version)
);

-- A key that a client gave to a post, so that sending it twice makes one.
-- distribute: feed.idempotency by account_id
CREATE TABLE feed.idempotency (
    account_id bigint NOT NULL,
    key text NOT NULL,
    post_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);

-- What a reader did with posts. `id` orders the lists (favourites, bookmarks); of a repost it is the post that was made.
-- distribute: feed.mark by account_id
CREATE TABLE feed.mark (
    account_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('favourite', 'bookmark', 'reblog', 'mute')),
    post_id bigint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (account_id, kind, post_id)
);
CREATE INDEX mark_newest ON feed.mark (account_id, kind, id);
CREATE INDEX mark_of_new_posts ON feed.mark (account_id, post_id);

-- The other direction, of favourites and reposts: who did it.
-- distribute: feed.marked_by by post_id
CREATE TABLE feed.marked_by (
    post_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('favourite', 'reblog')),
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (post_id, kind, account_id)
);

-- Uploaded, and attached to a post at most once; what is attached is copied into it.
-- distribute: feed.media by account_id
CREATE TABLE feed.media (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    type text NOT NULL CHECK (type IN ('image', 'gifv', 'video', 'audio', 'unknown')),
    key text NOT NULL,
    preview_key text NOT NULL,
    meta jsonb NOT NULL DEFAULT '{}',
    blurhash text,
    description text,
    post_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);

CREATE INDEX media_unused ON feed.media (account_id, created_at) WHERE post_id IS NULL;

-- distribute: feed.notification by account_id
CREATE TABLE feed.notification (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL
        CHECK (kind IN ('mention', 'status', 'reblog', 'follow', 'follow_request', 'favourite', 'update')),
    from_id bigint NOT NULL,
    post_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);
-- The same thing is told once.
CREATE UNIQUE INDEX notification_once ON feed.notification (account_id, kind, from_id, coalesce(post_id, 0));

CREATE INDEX notification_age ON feed.notification USING brin (created_at);

-- How far somebody has read.
-- distribute: feed.marker by account_id
CREATE TABLE feed.marker (
    account_id bigint NOT NULL,
    timeline text NOT NULL CHECK (timeline IN ('home', 'notifications')),
    last_read_id bigint NOT NULL,
    version integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, timeline)
);

-- distribute: feed.list by account_id
CREATE TABLE feed.list (
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    title text NOT NULL,
    replies_policy text NOT NULL DEFAULT 'list' CHECK (replies_policy IN ('followed', 'list', 'none')),
    exclusive boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_id, id)
);

-- distribute: feed.list_member by account_id
CREATE TABLE feed.list_member (
    account_id bigint NOT NULL,
    list_id bigint NOT NULL,
    member_id bigint NOT NULL,
    PRIMARY KEY (account_id, list_id, member_id)
);

-- Uses of a tag by the hour, and the people of a day, so that one person's shouting makes no trend.
-- distribute: feed.tag_hour by tag
CREATE TABLE feed.tag_hour (
    tag text NOT NULL,
    hour timestamptz NOT NULL,
    uses bigint NOT NULL,
    -- People who used it this hour for the first time that day.
    people bigint NOT NULL,
    PRIMARY KEY (tag, hour)
);
CREATE INDEX tag_hour_recent ON feed.tag_hour (hour);

-- distribute: feed.tag_person by tag
CREATE TABLE feed.tag_person (
    tag text NOT NULL,
    day date NOT NULL,
    account_id bigint NOT NULL,
    PRIMARY KEY (tag, day, account_id)
);

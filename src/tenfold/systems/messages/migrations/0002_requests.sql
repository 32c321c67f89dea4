-- Whose keys somebody may claim: devices in conversations of theirs.
CREATE INDEX member_device_by_device ON messages.member_device (device_id);
-- Whether anybody is to be woken at all is asked with every message.
CREATE INDEX device_pushed ON messages.device (account_id) WHERE push IS NOT NULL;
CREATE INDEX begun_by_time ON messages.begun (created_at);
CREATE INDEX conversation_invite_ending ON messages.conversation (invite_ends_at) WHERE invite IS NOT NULL;

-- Accounts for which something came, and when to look whether it still waits: one row, however much comes.
-- distribute: messages.waking by account_id
CREATE TABLE messages.waking (
    account_id bigint NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (account_id)
);
CREATE INDEX waking_due ON messages.waking (due_at);

-- Devices that are to be sent a push message, until the push service has it.
-- distribute: messages.push by account_id
CREATE TABLE messages.push (
    account_id bigint NOT NULL,
    device_id bigint NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    attempts smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, device_id)
);
CREATE INDEX push_due ON messages.push (due_at);

-- Objects that are to go: no row wants them any more, or they are on their way in and perhaps none ever will.
-- distribute: messages.doomed by account_id
CREATE TABLE messages.doomed (
    account_id bigint NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX doomed_due ON messages.doomed (due_at);

-- Each writing of a part is an object of its own: what is there stays whole until the next one counts.
ALTER TABLE messages.backup_part ADD COLUMN key text NOT NULL;

-- Messages of each hour (since 1970), for figures, and the time (milliseconds since 1970) up to which they are counted.
-- distribute: messages.hourly by hour
CREATE TABLE messages.hourly (
    hour bigint NOT NULL,
    sent bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (hour)
);

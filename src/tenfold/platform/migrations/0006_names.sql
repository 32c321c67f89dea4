-- Names by their beginning, byte by byte, whatever the database sorts by otherwise.
CREATE INDEX account_name_beginning ON platform.account_name (name text_pattern_ops);

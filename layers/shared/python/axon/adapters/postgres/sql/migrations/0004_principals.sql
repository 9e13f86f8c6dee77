-- Who asked: the API key that created a response, and what each key is allowed.
-- Responses from before have no key_id. Keys from before are allowed everything, and so are keys that
-- functions of the version before this one still make while it is deployed.
ALTER TABLE responses ADD COLUMN key_id text;
-- It locks writes, not reads, while it is built: the records wait in history.fifo, no request does.
CREATE INDEX responses_by_key ON responses (tenant_id, key_id, created_at);

ALTER TABLE api_keys
    ADD COLUMN scopes text[] NOT NULL DEFAULT ARRAY['responses:read', 'responses:write'];

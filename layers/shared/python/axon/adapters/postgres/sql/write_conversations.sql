-- Insert or update the conversations of responses. They come before the responses, which refer to them,
-- and their rows are locked, so that writers of one conversation wait for each other: all in the same order,
-- so that no two lock each other out.
INSERT INTO conversations (conversation_id, tenant_id, created_at, updated_at)
SELECT conversation_id, min(tenant_id), min(created_at), max(ended_at)
FROM jsonb_to_recordset(%(rows)s) AS given (
    conversation_id text, tenant_id text, created_at timestamptz, ended_at timestamptz
)
GROUP BY conversation_id
ORDER BY conversation_id COLLATE "C"
ON CONFLICT (conversation_id) DO UPDATE
SET created_at = least(conversations.created_at, excluded.created_at),
    updated_at = greatest(conversations.updated_at, excluded.updated_at)

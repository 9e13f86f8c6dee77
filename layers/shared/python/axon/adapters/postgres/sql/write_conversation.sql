-- Insert or update the conversation of a response. It comes before the response, which refers to it,
-- and locks its row, so that writers of one conversation wait for each other.
INSERT INTO conversations (conversation_id, tenant_id, created_at, updated_at)
VALUES (%(conversation_id)s, %(tenant_id)s, %(created_at)s, %(ended_at)s)
ON CONFLICT (conversation_id) DO UPDATE
SET created_at = least(conversations.created_at, excluded.created_at),
    updated_at = greatest(conversations.updated_at, excluded.updated_at)

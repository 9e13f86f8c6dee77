-- Insert a named conversation without turns, unless an earlier call has done so.
INSERT INTO conversations (conversation_id, tenant_id, created_at, updated_at, metadata)
VALUES (%(conversation_id)s, %(tenant_id)s, now(), now(), %(metadata)s)
ON CONFLICT (conversation_id) DO NOTHING

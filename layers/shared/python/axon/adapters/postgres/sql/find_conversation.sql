-- Select a named conversation of a tenant.
SELECT conversation_id, tenant_id, extract(epoch FROM created_at)::bigint AS created_at, metadata, head, running,
       coalesce(extract(epoch FROM now() - running_since), 0)::float AS running_s
FROM conversations
WHERE conversation_id = %(conversation_id)s AND tenant_id = %(tenant_id)s
    AND metadata IS NOT NULL AND deleted_at IS NULL

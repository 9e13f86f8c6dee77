-- Make a response the running one of a named conversation, unless that was changed since it was read.
UPDATE conversations
SET head = %(new_head)s, running = %(new_running)s, running_since = now(),
    updated_at = greatest(updated_at, now())
WHERE conversation_id = %(conversation_id)s AND tenant_id = %(tenant_id)s
    AND metadata IS NOT NULL AND deleted_at IS NULL
    AND head IS NOT DISTINCT FROM %(head)s AND running IS NOT DISTINCT FROM %(running)s

-- Add a turn that no model has made at the end of a named conversation, unless that was changed since it was
-- read. In one statement: a turn that nothing continues is never left behind.
WITH moved AS (
    UPDATE conversations
    SET head = %(response_id)s, running = NULL, updated_at = greatest(updated_at, now())
    WHERE conversation_id = %(conversation_id)s AND tenant_id = %(tenant_id)s
        AND metadata IS NOT NULL AND deleted_at IS NULL
        AND head IS NOT DISTINCT FROM %(head)s AND running IS NOT DISTINCT FROM %(running)s
    RETURNING conversation_id
)
INSERT INTO responses (
    response_id, tenant_id, key_id, conversation_id, previous_response_id, model, status, version, created_at,
    ended_at, input, response
)
SELECT %(response_id)s, %(tenant_id)s, %(key_id)s, conversation_id, %(previous)s, '', 'completed', 0, now(),
       now(), %(input)s, '{"output": []}'
FROM moved

-- Apply a record unless the same or a later version of it is stored. The counters change by the
-- difference, in the same statement, so that repeated and late records leave them exact. `old` is the row
-- before this statement; the conversation's row, locked before, keeps other writers away from it.
WITH old AS (
    SELECT input_tokens, output_tokens FROM responses WHERE response_id = %(response_id)s
),
written AS (
    INSERT INTO responses (
        response_id, tenant_id, key_id, conversation_id, previous_response_id, model, status,
        version, created_at, ended_at, input_tokens, output_tokens, input, response, outline
    ) VALUES (
        %(response_id)s, %(tenant_id)s, %(key_id)s, %(conversation_id)s, %(previous_response_id)s,
        %(model)s, %(status)s, %(version)s, %(created_at)s, %(ended_at)s, %(input_tokens)s,
        %(output_tokens)s, %(input)s, %(response)s, %(outline)s
    )
    ON CONFLICT (response_id) DO UPDATE
    SET status = excluded.status, version = excluded.version, ended_at = excluded.ended_at,
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
        response = excluded.response, outline = excluded.outline
    WHERE responses.version < excluded.version
    RETURNING input_tokens, output_tokens
)
UPDATE conversations
SET responses = responses + CASE WHEN EXISTS (SELECT 1 FROM old) THEN 0 ELSE 1 END,
    input_tokens = conversations.input_tokens + written.input_tokens
        - coalesce((SELECT input_tokens FROM old), 0),
    output_tokens = conversations.output_tokens + written.output_tokens
        - coalesce((SELECT output_tokens FROM old), 0)
FROM written
WHERE conversations.conversation_id = %(conversation_id)s

-- Apply records of different responses, each unless the same or a later version of it is stored. The counters
-- change by the differences, in the same statement, so that repeated and late records leave them exact. `old` has
-- the rows before this statement; the conversations' rows, locked before, keep other writers away from them.
-- The planner takes rows of JSON for 100. The ids, which it counts, keep it from reading whole tables.
WITH old AS (
    SELECT response_id, input_tokens, output_tokens FROM responses
    WHERE response_id = ANY (%(response_ids)s)
),
written AS (
    INSERT INTO responses (
        response_id, tenant_id, key_id, conversation_id, previous_response_id, model, status,
        version, created_at, ended_at, input_tokens, output_tokens, input, response, outline
    )
    SELECT
        response_id, tenant_id, key_id, conversation_id, previous_response_id, model, status,
        version, created_at, ended_at, input_tokens, output_tokens, input, response, outline
    FROM jsonb_to_recordset(%(rows)s) AS given (
        response_id text, tenant_id text, key_id text, conversation_id text, previous_response_id text,
        model text, status text, version bigint, created_at timestamptz, ended_at timestamptz,
        input_tokens bigint, output_tokens bigint, input jsonb, response jsonb, outline jsonb
    )
    ON CONFLICT (response_id) DO UPDATE
    SET status = excluded.status, version = excluded.version, ended_at = excluded.ended_at,
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
        response = excluded.response, outline = excluded.outline
    WHERE responses.version < excluded.version
    RETURNING response_id, conversation_id, input_tokens, output_tokens
),
changed AS (
    SELECT
        written.conversation_id,
        count(*) FILTER (WHERE old.response_id IS NULL) AS responses,
        sum(written.input_tokens - coalesce(old.input_tokens, 0)) AS input_tokens,
        sum(written.output_tokens - coalesce(old.output_tokens, 0)) AS output_tokens
    FROM written LEFT JOIN old USING (response_id)
    GROUP BY written.conversation_id
)
UPDATE conversations
SET responses = conversations.responses + changed.responses,
    input_tokens = conversations.input_tokens + changed.input_tokens,
    output_tokens = conversations.output_tokens + changed.output_tokens
FROM changed
WHERE conversations.conversation_id = changed.conversation_id
    AND conversations.conversation_id = ANY (%(conversation_ids)s)

-- Select the turns up to a response, oldest first.
WITH RECURSIVE chain AS (
    SELECT responses.*, 0 AS depth FROM responses
    WHERE response_id = %(response_id)s AND status IN ('completed', 'incomplete', 'cancelled')
    UNION ALL
    SELECT parent.*, chain.depth + 1 FROM responses parent
    JOIN chain ON parent.response_id = chain.previous_response_id
)
SELECT response_id, previous_response_id, conversation_id, tenant_id, input,
       response -> 'output' AS output
FROM chain
ORDER BY depth DESC

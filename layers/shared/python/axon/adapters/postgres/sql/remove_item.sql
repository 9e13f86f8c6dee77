-- Remove an item from a turn's input and output. The version is above that of every record: none that is repeated
-- brings the item back.
UPDATE responses
SET version = 9223372036854775807,
    outline = NULL,  -- of events that had the item
    input = (
        SELECT coalesce(jsonb_agg(item ORDER BY n), '[]')
        FROM jsonb_array_elements(input) WITH ORDINALITY AS each (item, n)
        WHERE item ->> 'id' IS DISTINCT FROM %(item_id)s
    ),
    response = jsonb_set(response, '{output}', (
        SELECT coalesce(jsonb_agg(item ORDER BY n), '[]')
        FROM jsonb_array_elements(response -> 'output') WITH ORDINALITY AS each (item, n)
        WHERE item ->> 'id' IS DISTINCT FROM %(item_id)s
    ))
WHERE response_id = %(response_id)s AND tenant_id = %(tenant_id)s

-- A tenant's response. Its version ends with the sequence number of the terminal event: `axon.history.version_of`.
SELECT response, input, outline, (version & 4294967295)::bigint AS last_number
FROM responses
WHERE response_id = %(response_id)s AND tenant_id = %(tenant_id)s AND model <> ''

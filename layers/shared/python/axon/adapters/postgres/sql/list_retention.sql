-- Select the tenants that have conversations which may expire, and after how many days. The index
-- conversations_by_tenant is skipped through: one look for each tenant, however many conversations it has.
WITH RECURSIVE names AS (
    (SELECT tenant_id FROM conversations ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT tenant_id FROM conversations
        WHERE tenant_id > names.tenant_id ORDER BY tenant_id LIMIT 1
    )
    FROM names WHERE names.tenant_id IS NOT NULL
)
SELECT tenant_id, coalesce(retention_days, %(days)s) AS days
FROM names LEFT JOIN tenants USING (tenant_id)
WHERE tenant_id IS NOT NULL AND coalesce(retention_days, %(days)s) > 0

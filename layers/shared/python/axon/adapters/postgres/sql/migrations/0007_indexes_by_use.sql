-- no transaction
-- The expiry of conversations finds them by this index. The two that are dropped served no query.
DROP INDEX CONCURRENTLY IF EXISTS conversations_by_tenant;

CREATE INDEX CONCURRENTLY conversations_by_tenant ON conversations (tenant_id, updated_at);

DROP INDEX CONCURRENTLY IF EXISTS responses_by_tenant;

DROP INDEX CONCURRENTLY IF EXISTS responses_by_key;

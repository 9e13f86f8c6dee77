-- Insert an API key, and its tenant if it is new. A key whose hash is stored already is not changed:
-- the first one of a hash stays valid when a call is repeated.
WITH tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant_id)s) ON CONFLICT DO NOTHING
)
INSERT INTO api_keys (key_id, tenant_id, name, hint, key_hash, scopes)
VALUES (%(key_id)s, %(tenant_id)s, %(name)s, %(hint)s, %(key_hash)s, %(scopes)s)
ON CONFLICT (key_hash) DO NOTHING

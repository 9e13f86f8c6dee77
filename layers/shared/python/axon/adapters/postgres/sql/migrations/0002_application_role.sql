-- The role that functions and workers use: it works with rows and cannot change the schema.
-- It has no password; on RDS it logs in by IAM, which membership in rds_iam allows. Roles belong to
-- the server, not to this database: another database's migration may make it at the same moment. For
-- an instant after that one's commit the role exists, but cannot be found by its name.
DO $$
BEGIN
    FOR attempt IN 1..50 LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'axon_app') THEN
                CREATE ROLE axon_app LOGIN;
            END IF;
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')
                AND NOT pg_has_role('axon_app', 'rds_iam', 'MEMBER')
            THEN
                GRANT rds_iam TO axon_app;
            END IF;
            RETURN;
        EXCEPTION WHEN duplicate_object OR unique_violation OR undefined_object THEN
            PERFORM pg_sleep(0.02);
        END;
    END LOOP;
    RAISE 'the role axon_app is made and removed again and again';
END
$$;

GRANT USAGE ON SCHEMA public TO axon_app;
GRANT SELECT, INSERT ON tenants TO axon_app;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON api_keys TO axon_app;
GRANT SELECT, INSERT, UPDATE ON conversations, responses TO axon_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO axon_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO axon_app;

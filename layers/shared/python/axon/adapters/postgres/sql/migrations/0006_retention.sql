-- Responses are deleted: one by its client, and conversations that nobody has used for their tenant's time.
-- Role axon_app deletes through these functions only, each bound to one tenant or to an age.

-- NULL: the deployment's default. 0: for ever.
ALTER TABLE tenants ADD COLUMN retention_days integer CHECK (retention_days >= 0);
GRANT UPDATE (retention_days) ON tenants TO axon_app;

-- A record of a deleted response may still be in a queue.
CREATE TABLE deleted_responses (
    response_id text PRIMARY KEY,
    tenant_id   text NOT NULL,
    deleted_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deleted_responses_by_time ON deleted_responses (deleted_at);
REVOKE INSERT, UPDATE, DELETE ON deleted_responses FROM axon_app;

-- A trigger, and not a condition of the writer's statement: the writer of the version before must not
-- bring a deleted response back either. Without the lock it would not see a tombstone that is not committed yet,
-- and the deletion would not see the row. Each statement of the function sees what was committed meanwhile.
CREATE FUNCTION refuse_deleted_response() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.response_id, 0));
    IF EXISTS (SELECT FROM deleted_responses WHERE response_id = NEW.response_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_deleted BEFORE INSERT ON responses
    FOR EACH ROW EXECUTE FUNCTION refuse_deleted_response();

-- Delete a response of a tenant; return whether it is deleted now, or was before. `accepted`: the caller knows
-- that the tenant has this response, though no row says so yet. The conversation's counters stay: they count what
-- was used. A lock on the conversation, which writers take first, is not needed, so no order can be wrong.
CREATE FUNCTION delete_response(the_id text, the_tenant text, accepted boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    owner text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(the_id, 0));
    SELECT tenant_id INTO owner FROM deleted_responses WHERE response_id = the_id;
    IF FOUND THEN
        RETURN owner = the_tenant;
    END IF;
    SELECT tenant_id INTO owner FROM responses WHERE response_id = the_id;
    IF (FOUND AND owner <> the_tenant) OR (NOT FOUND AND NOT accepted) THEN
        RETURN false;
    END IF;
    INSERT INTO deleted_responses (response_id, tenant_id) VALUES (the_id, the_tenant);
    DELETE FROM responses WHERE response_id = the_id;
    RETURN true;
END
$$;

-- Delete at most `batch` responses, of at most `batch` conversations of a tenant that ended their last response
-- more than `days` days ago, and the conversations that have none left; return both numbers. Conversations that
-- others hold are left for the next time. A writer that adds to one of the others waits for this transaction, and
-- then makes the conversation again.
CREATE FUNCTION expire_conversations(the_tenant text, days integer, batch integer)
    RETURNS TABLE (expired_responses bigint, expired_conversations bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    expired text[];
BEGIN
    IF days < 1 OR batch < 1 THEN
        RAISE EXCEPTION 'days and batch must be at least 1';
    END IF;
    expired := array(
        SELECT conversation_id FROM conversations
        WHERE tenant_id = the_tenant AND updated_at < now() - make_interval(days => days)
        ORDER BY updated_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    DELETE FROM responses WHERE response_id IN (
        SELECT response_id FROM responses WHERE conversation_id = ANY (expired) LIMIT batch
    );
    GET DIAGNOSTICS expired_responses = ROW_COUNT;
    DELETE FROM conversations
    WHERE conversation_id = ANY (expired)
        AND NOT EXISTS (
            SELECT FROM responses WHERE responses.conversation_id = conversations.conversation_id
        );
    GET DIAGNOSTICS expired_conversations = ROW_COUNT;
    RETURN NEXT;
END
$$;

-- Forget at most `batch` tombstones that are older than `days` days; return how many.
CREATE FUNCTION forget_tombstones(days integer, batch integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF days < 1 OR batch < 1 THEN
        RAISE EXCEPTION 'days and batch must be at least 1';
    END IF;
    DELETE FROM deleted_responses WHERE response_id IN (
        SELECT response_id FROM deleted_responses
        WHERE deleted_at < now() - make_interval(days => days)
        ORDER BY deleted_at LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

REVOKE ALL ON FUNCTION delete_response, expire_conversations, forget_tombstones FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_response, expire_conversations, forget_tombstones TO axon_app;

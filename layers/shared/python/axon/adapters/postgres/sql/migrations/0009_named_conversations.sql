-- Conversations that clients create and name in their requests. Those have metadata; every other conversation is
-- the chain of responses that it has been. The version before neither reads nor writes these columns.
ALTER TABLE conversations
    ADD COLUMN metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    -- The last turn, and the response that was accepted last: once that has ended, it is the last turn.
    ADD COLUMN head text,
    ADD COLUMN running text,
    ADD COLUMN running_since timestamptz,
    ADD COLUMN deleted_at timestamptz;

-- A row of `responses` without a model is a turn that no model has made: items that a client has added, or what
-- is left of a deleted response in a named conversation. Later turns continue it, and its content is empty.

-- As before, but the record of a deleted response that arrives late is emptied, where it belongs to a named
-- conversation: refused, it would cut off all turns before it.
CREATE OR REPLACE FUNCTION refuse_deleted_response() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.response_id, 0));
    IF NOT EXISTS (SELECT FROM deleted_responses WHERE response_id = NEW.response_id) THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT FROM conversations WHERE conversation_id = NEW.conversation_id AND metadata IS NOT NULL
    ) THEN
        RETURN NULL;
    END IF;
    NEW.model := '';
    NEW.version := 9223372036854775807;  -- above every record's
    NEW.input := '[]';
    NEW.response := '{"output": []}';
    NEW.outline := NULL;
    RETURN NEW;
END
$$;

-- As before, but a response of a named conversation leaves an empty turn.
CREATE OR REPLACE FUNCTION delete_response(the_id text, the_tenant text, accepted boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    owner text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(the_id, 0));
    SELECT tenant_id INTO owner FROM deleted_responses WHERE response_id = the_id;
    IF FOUND THEN
        RETURN owner = the_tenant;
    END IF;
    -- A turn without a model is no response, so it has none to delete.
    SELECT tenant_id INTO owner FROM responses WHERE response_id = the_id AND model <> '';
    IF (FOUND AND owner <> the_tenant) OR (NOT FOUND AND NOT accepted) THEN
        RETURN false;
    END IF;
    INSERT INTO deleted_responses (response_id, tenant_id) VALUES (the_id, the_tenant);
    UPDATE responses
    SET model = '', version = 9223372036854775807, input = '[]', response = '{"output": []}',
        outline = NULL
    WHERE response_id = the_id AND EXISTS (
        SELECT FROM conversations
        WHERE conversations.conversation_id = responses.conversation_id AND metadata IS NOT NULL
    );
    DELETE FROM responses WHERE response_id = the_id AND model <> '';
    RETURN true;
END
$$;

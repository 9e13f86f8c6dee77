-- What makes a response's events again once their log is gone: `axon.protocol.outlines`. NULL in rows from before.
ALTER TABLE responses ADD COLUMN outline jsonb CHECK (jsonb_typeof(outline) = 'object');

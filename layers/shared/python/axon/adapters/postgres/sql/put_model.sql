-- Say something else about a model, under a version above all others: whoever does this has locked
-- the table, or a version taken later could be committed sooner.
INSERT INTO wanted_models (name, settings)
VALUES (%(name)s, %(settings)s)
ON CONFLICT (name) DO UPDATE
SET settings = excluded.settings, version = excluded.version, changed_at = excluded.changed_at
RETURNING name, settings, version

-- Set a model's desired settings, under a version above all others. The caller has locked the table:
-- otherwise a version that was taken later could be committed first.
INSERT INTO wanted_models (name, settings)
VALUES (%(name)s, %(settings)s)
ON CONFLICT (name) DO UPDATE
SET settings = excluded.settings, version = excluded.version, changed_at = excluded.changed_at
RETURNING name, settings, version

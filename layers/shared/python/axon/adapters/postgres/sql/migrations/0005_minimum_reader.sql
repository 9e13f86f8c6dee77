-- Let functions and workers read which migrations were applied, and from which version on code can
-- still use the schema. A migration that takes something away (contracts) sets `minimum_reader` of its
-- own row, or of the newest one, to the number of the last migration that such code must know.
ALTER TABLE schema_migrations ADD COLUMN minimum_reader integer NOT NULL DEFAULT 0;
GRANT SELECT ON schema_migrations TO axon_app;

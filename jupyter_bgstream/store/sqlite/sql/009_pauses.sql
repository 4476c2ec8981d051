-- The number of the last commit that paused a group or let it go on, by which other servers hear of it. Servers of
-- before this column cannot share the database with those that keep to a pause: they would claim its jobs.
ALTER TABLE groups ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;

CREATE INDEX groups_by_rev ON groups (rev);

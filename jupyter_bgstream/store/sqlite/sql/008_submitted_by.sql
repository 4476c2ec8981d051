-- The person who submitted a job, by name. NULL: a kernel, a server whose identity provider names nobody, or a job from
-- before this column.
ALTER TABLE jobs ADD COLUMN submitted_by TEXT;

CREATE INDEX jobs_of_submitter ON jobs (owner, submitted_by) WHERE submitted_by IS NOT NULL;

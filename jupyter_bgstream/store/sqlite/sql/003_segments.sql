-- A row as it was appended has packed = 0. Later many are joined into one and compressed (packed = 1: zlib).
ALTER TABLE events ADD COLUMN packed INTEGER NOT NULL DEFAULT 0;

-- The log's events up to this number lie in packed rows, those after it do not.
ALTER TABLE jobs ADD COLUMN packed_seq INTEGER NOT NULL DEFAULT 0;

-- When it was first announced that this job, which nobody has read, will be deleted; Unix seconds.
ALTER TABLE jobs ADD COLUMN announced_at REAL;

CREATE INDEX jobs_to_pack ON jobs (ended_at) WHERE ended_at IS NOT NULL AND packed_seq < seq;
CREATE INDEX jobs_by_end ON jobs (ended_at) WHERE ended_at IS NOT NULL;

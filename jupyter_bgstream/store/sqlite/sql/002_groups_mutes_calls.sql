-- Many jobs as one.
CREATE TABLE groups (
    n INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,          -- JSON
    UNIQUE (owner, id)
);

-- What viewers do not want to be called for. A row stays when it is switched off, so that others hear of it.
CREATE TABLE mutes (
    owner TEXT NOT NULL,
    viewer TEXT NOT NULL,
    kind TEXT NOT NULL,          -- notebook or thread
    name TEXT NOT NULL,
    muted INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    PRIMARY KEY (owner, viewer, kind, name)
) WITHOUT ROWID;

CREATE INDEX mutes_by_rev ON mutes (rev);

-- A group's notice has no job ('').
ALTER TABLE notices ADD COLUMN grp TEXT;

-- When a notice goes out to the webhook, in Unix seconds, if nobody has seen it by then.
ALTER TABLE notices ADD COLUMN call_at REAL;

CREATE INDEX notices_of_group ON notices (owner, grp) WHERE grp IS NOT NULL;
CREATE INDEX notices_to_call ON notices (owner, call_at) WHERE call_at IS NOT NULL;

-- What a claim counts, and when the next waiting job's time comes.
CREATE INDEX jobs_running ON jobs (server, batch) WHERE status = 'running';
CREATE INDEX jobs_running_of ON jobs (owner) WHERE status = 'running';
CREATE INDEX jobs_waiting ON jobs (server, not_before) WHERE status = 'waiting';

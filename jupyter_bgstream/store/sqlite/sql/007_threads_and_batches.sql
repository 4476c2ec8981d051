-- Whose messages the history of a job has.
ALTER TABLE asked ADD COLUMN turns BLOB NOT NULL DEFAULT '[]';

DROP VIEW whole_jobs;

CREATE VIEW whole_jobs AS
SELECT jobs.*, asked.spec, asked.history, asked.turns FROM jobs JOIN asked ON asked.job = jobs.n;

-- Threads that go on from another, each with a copy of what had been said there. Beside that they are their jobs.
CREATE TABLE forks (
    n INTEGER PRIMARY KEY,       -- its place among the jobs, of which none has this number
    owner TEXT NOT NULL,
    name TEXT NOT NULL,          -- of the new thread
    origin TEXT,                 -- the thread it goes on from, as long as that is there
    model TEXT NOT NULL,
    title TEXT NOT NULL,
    messages BLOB NOT NULL,      -- JSON
    turns BLOB NOT NULL,         -- JSON
    created_at REAL NOT NULL,
    touched_at REAL NOT NULL,
    UNIQUE (owner, name)
);

CREATE INDEX forks_of_origin ON forks (owner, origin) WHERE origin IS NOT NULL;
CREATE INDEX forks_by_touch ON forks (touched_at);

-- The group of a job if it was announced, else ''. Claims go by lanes, and so never read through the thousands of jobs
-- of a group that runs as many as it may.
ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT '';

UPDATE jobs SET lane = grp
WHERE grp IS NOT NULL AND EXISTS (SELECT 1 FROM groups WHERE groups.owner = jobs.owner AND groups.id = jobs.grp);

-- The job that was asked first, of one that asks again; it may be gone.
ALTER TABLE jobs ADD COLUMN root TEXT;

WITH RECURSIVE chain (n, root, retried_by, owner) AS (
    SELECT n, id, retried_by, owner FROM jobs WHERE retry_of IS NULL AND retried_by IS NOT NULL
    UNION ALL
    SELECT jobs.n, chain.root, jobs.retried_by, jobs.owner FROM chain
    JOIN jobs ON jobs.owner = chain.owner AND jobs.id = chain.retried_by
)
UPDATE jobs SET root = chain.root FROM chain WHERE chain.n = jobs.n AND jobs.retry_of IS NOT NULL;

CREATE INDEX jobs_queued ON jobs (server, batch, owner, lane) WHERE status = 'queued';
CREATE INDEX jobs_active_of_lane ON jobs (owner, lane, status, server) WHERE status IN ('running', 'waiting');
CREATE INDEX jobs_of_group_by_change ON jobs (owner, grp, status_rev) WHERE grp IS NOT NULL;

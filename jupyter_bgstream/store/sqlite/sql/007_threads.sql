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

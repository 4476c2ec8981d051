-- A statement ends with a semicolon at a line's end, and no comment has one there.

-- Counts the commits that told anybody anything. Each such commit writes its number to what it touched, and so another
-- process finds what it has not seen.
CREATE TABLE revision (rev INTEGER NOT NULL);

INSERT INTO revision VALUES (0);

-- What is filtered, sorted or written often. n is the order of arrival and never used again.
CREATE TABLE jobs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    log TEXT NOT NULL,
    server TEXT NOT NULL,
    status TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    rev INTEGER NOT NULL,        -- of the last commit that touched it
    status_rev INTEGER NOT NULL, -- of the last commit that changed its status
    batch INTEGER NOT NULL,      -- 1: may wait for interactive jobs
    thread TEXT,
    notebook TEXT,
    grp TEXT,
    tags TEXT NOT NULL,          -- JSON
    previous TEXT,               -- id of a job that is there, with a smaller n
    preview TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    not_before REAL,
    usage BLOB,                  -- JSON
    finish_reason TEXT,
    error BLOB,                  -- JSON
    retry_of TEXT,
    retried_by TEXT,
    UNIQUE (owner, id)
);

-- The long texts of a job, apart, so that no append has to write them again.
CREATE TABLE asked (
    job INTEGER PRIMARY KEY,     -- jobs.n
    spec BLOB NOT NULL,          -- JSON
    history BLOB NOT NULL        -- JSON
);

CREATE VIEW whole_jobs AS SELECT jobs.*, asked.spec, asked.history FROM jobs JOIN asked ON asked.job = jobs.n;

-- Every index ends in n, the rowid, and so gives its jobs in the order of arrival.
CREATE INDEX jobs_of_status ON jobs (owner, status);
CREATE INDEX jobs_of_owner ON jobs (owner);
CREATE INDEX jobs_of_thread ON jobs (owner, thread) WHERE thread IS NOT NULL;
CREATE INDEX jobs_of_notebook ON jobs (owner, notebook) WHERE notebook IS NOT NULL;
CREATE INDEX jobs_of_group ON jobs (owner, grp) WHERE grp IS NOT NULL;
CREATE INDEX jobs_by_previous ON jobs (owner, previous) WHERE previous IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (server, batch) WHERE status IN ('queued', 'running', 'waiting');
CREATE INDEX jobs_by_rev ON jobs (rev);

-- The logs: one row per append. place is the job's n and the row's last seq in one number (n * 2^32 + seq), so that a
-- log lies together in the table itself, in order, without an index.
CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,      -- seq of its first event
    body BLOB NOT NULL           -- encoded events, joined by newlines, of which JSON has none
);

CREATE TABLE notices (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    job TEXT NOT NULL,
    body BLOB NOT NULL,          -- JSON, as it was born
    rev INTEGER NOT NULL,
    UNIQUE (owner, id)
);

CREATE INDEX notices_of_job ON notices (owner, job);
CREATE INDEX notices_by_rev ON notices (rev);

-- What a viewer did with a notice. No row: unread.
CREATE TABLE marks (
    notice INTEGER NOT NULL,     -- notices.n
    viewer TEXT NOT NULL,
    read_at REAL,
    dismissed INTEGER NOT NULL,
    PRIMARY KEY (notice, viewer)
) WITHOUT ROWID;

-- So that other processes hear of deleted jobs; the oldest are forgotten.
CREATE TABLE deleted (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    rev INTEGER NOT NULL
);

CREATE INDEX deleted_by_rev ON deleted (rev);

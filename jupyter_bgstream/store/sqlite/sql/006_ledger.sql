-- What deleted jobs took: sums by the quarter of an hour of their submission, and by model.
CREATE TABLE ledger (
    owner TEXT NOT NULL,
    at INTEGER NOT NULL,         -- Unix seconds, a whole quarter
    model TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    usd REAL,
    estimated INTEGER NOT NULL,
    PRIMARY KEY (owner, at, model)
) WITHOUT ROWID;

CREATE INDEX jobs_that_took ON jobs (owner, created_at) WHERE usage IS NOT NULL OR cost IS NOT NULL;

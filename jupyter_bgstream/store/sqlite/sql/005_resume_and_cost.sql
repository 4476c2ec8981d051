-- How another server goes on with a running answer where the provider keeps it; and what all attempts cost, in USD.
ALTER TABLE jobs ADD COLUMN resume TEXT;

ALTER TABLE jobs ADD COLUMN cost REAL;

ALTER TABLE jobs ADD COLUMN cost_estimated INTEGER NOT NULL DEFAULT 0;

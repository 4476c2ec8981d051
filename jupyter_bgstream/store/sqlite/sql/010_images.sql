-- Pictures in answers: each is named by an event, and its file is written in the transaction of that event.
CREATE TABLE images (
    job INTEGER NOT NULL, -- jobs.n
    id TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL, -- of the file
    PRIMARY KEY (job, id)
) WITHOUT ROWID;

-- The files in pieces, so that neither a read nor a write needs a whole one in a row. chunk counts from 0.
CREATE TABLE image_chunks (
    job INTEGER NOT NULL, -- jobs.n
    image TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (job, image, chunk)
);

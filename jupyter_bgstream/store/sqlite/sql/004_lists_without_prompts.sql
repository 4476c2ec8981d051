-- What lists show of what was asked: all but messages and parameters, which may have megabytes.
ALTER TABLE jobs ADD COLUMN listed BLOB;

UPDATE jobs SET listed = (
    SELECT CAST(json_set(CAST(spec AS TEXT), '$.messages', json('[]'), '$.params', json('{}')) AS BLOB)
    FROM asked WHERE asked.job = jobs.n
);

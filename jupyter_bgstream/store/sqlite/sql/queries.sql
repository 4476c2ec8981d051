-- name: revision
SELECT rev FROM revision;

-- name: set_revision
UPDATE revision SET rev = :rev;

-- name: changes_since
SELECT 0 AS rank, 'deleted' AS kind, owner, id, NULL AS status, 0 AS seq, rev FROM deleted WHERE rev > :since
UNION ALL
SELECT 1, CASE WHEN status_rev > :since THEN 'job' ELSE 'events' END, owner, id, status, seq, rev
FROM jobs WHERE rev > :since
UNION ALL
SELECT 2, 'notice', owner, job, NULL, 0, rev FROM notices WHERE rev > :since
UNION ALL
SELECT 3, 'notice', owner, '', NULL, 0, rev FROM mutes WHERE rev > :since
UNION ALL
SELECT 4, 'batch', owner, id, NULL, 0, rev FROM groups WHERE rev > :since
ORDER BY rev, rank;

-- name: job
SELECT * FROM whole_jobs WHERE owner = :owner AND id = :id;

-- name: job_head
SELECT n, log, status, seq, attempt, fence FROM jobs WHERE owner = :owner AND id = :id;

-- name: insert_job
INSERT INTO jobs (
    owner, id, log, server, status, seq, attempt, fence, rev, status_rev, batch, thread, notebook, grp, tags,
    previous, preview, created_at, started_at, ended_at, not_before, usage, cost, cost_estimated,
    finish_reason, resume, error, retry_of, retried_by, root, submitted_by, lane, listed
) VALUES (
    :owner, :id, :log, :server, :status, :seq, :attempt, :fence, :rev, :rev, :batch, :thread, :notebook, :grp, :tags,
    :previous, :preview, :created_at, :started_at, :ended_at, :not_before, :usage, :cost, :cost_estimated,
    :finish_reason, :resume, :error, :retry_of, :retried_by, :root, :submitted_by, :lane, :listed
);

-- name: insert_asked
INSERT INTO asked (job, spec, history, turns) VALUES (:n, :spec, :history, :turns);

-- name: update_history
UPDATE asked SET history = :history, turns = :turns WHERE job = :n;

-- name: update_job
UPDATE jobs SET
    status_rev = CASE WHEN status = :status AND server = :server THEN status_rev ELSE :rev END,
    status = :status, server = :server, seq = :seq, attempt = :attempt, fence = :fence, rev = :rev, preview = :preview,
    started_at = :started_at, ended_at = :ended_at, not_before = :not_before, usage = :usage,
    cost = :cost, cost_estimated = :cost_estimated, finish_reason = :finish_reason, resume = :resume, error = :error
WHERE n = :n;

-- name: set_retried_by
UPDATE jobs SET retried_by = :retried_by, rev = :rev, status_rev = :rev WHERE n = :n;

-- name: set_retry_of
UPDATE jobs SET retry_of = :retry_of WHERE owner = :owner AND id = :id;

-- name: grow_job
UPDATE jobs SET seq = :seq, rev = :rev, preview = coalesce(:preview, preview),
    resume = nullif(coalesce(:resume, resume), '')
WHERE n = :n;

-- name: insert_events
INSERT INTO events (place, first, body) VALUES (:place, :first, :body);

-- name: events
SELECT first, body, packed FROM events WHERE place BETWEEN :from AND :to ORDER BY place;

-- name: last_turn_of_thread
SELECT id, retried_by FROM jobs WHERE owner = :owner AND thread = :thread AND retry_of IS NULL ORDER BY n DESC LIMIT 1;

-- name: job_links
SELECT id, retried_by FROM jobs WHERE owner = :owner AND id = :id;

-- name: count_unfinished
SELECT count(*) FROM jobs WHERE owner = :owner AND status IN ('queued', 'running', 'waiting');

-- name: counts
SELECT status, count(*) FROM jobs WHERE owner = :owner GROUP BY status;

-- name: running_here
SELECT count(*) AS here, coalesce(sum(batch), 0) AS bulk FROM jobs WHERE server = :server AND status = 'running';

-- name: running_by_owner
-- Without this index hint SQLite reads all jobs.
SELECT owner, count(*) FROM jobs INDEXED BY jobs_running_of WHERE status = 'running' GROUP BY owner;

-- name: next_due
SELECT min(not_before) FROM jobs
WHERE server = :server AND status = 'waiting' AND not_before > :after AND (:owner IS NULL OR owner = :owner);

-- name: next_lane
-- Equals (batch, owner, lane) > (:batch, :owner, :lane), for which SQLite would scan all jobs of the previous lane.
SELECT * FROM (
    SELECT batch, owner, lane FROM jobs
    WHERE server = :server AND status = 'queued' AND batch = :batch AND owner = :owner AND lane > :lane
    ORDER BY lane LIMIT 1
) UNION ALL SELECT * FROM (
    SELECT batch, owner, lane FROM jobs
    WHERE server = :server AND status = 'queued' AND batch = :batch AND owner > :owner
    ORDER BY owner, lane LIMIT 1
) UNION ALL SELECT * FROM (
    SELECT batch, owner, lane FROM jobs
    WHERE server = :server AND status = 'queued' AND batch > :batch
    ORDER BY batch, owner, lane LIMIT 1
) LIMIT 1;

-- name: active_of_lane
SELECT coalesce(sum(status = 'running'), 0) AS running, coalesce(sum(status = 'waiting'), 0) AS waiting FROM jobs
WHERE owner = :owner AND lane = :lane AND status IN ('running', 'waiting') AND server = :server;

-- name: waiting_lanes
SELECT DISTINCT lane FROM jobs WHERE owner = :owner AND status = 'waiting' AND server = :server;

-- name: queued_of_lane
SELECT n, owner, batch, lane, 0 AS waits FROM jobs
WHERE server = :server AND status = 'queued' AND batch = :batch AND owner = :owner AND lane = :lane
    AND NOT EXISTS (
        SELECT 1 FROM jobs AS before
        WHERE before.owner = jobs.owner AND before.thread = jobs.thread AND before.n < jobs.n
            AND before.status IN ('queued', 'running', 'waiting')
    )
ORDER BY n LIMIT :limit;

-- name: due_jobs
SELECT n, owner, batch, lane, 1 AS waits FROM jobs
WHERE server = :server AND status = 'waiting' AND (not_before <= :at OR not_before > :farthest)
    AND (:owner IS NULL OR owner = :owner)
    AND NOT EXISTS (
        SELECT 1 FROM jobs AS before
        WHERE before.owner = jobs.owner AND before.thread = jobs.thread AND before.n < jobs.n
            AND before.status IN ('queued', 'running', 'waiting')
    )
ORDER BY batch, n;

-- name: job_by_n
SELECT * FROM whole_jobs WHERE n = :n;

-- name: servers_with_unfinished_jobs
SELECT DISTINCT server FROM jobs WHERE status IN ('queued', 'running', 'waiting');

-- name: unfinished_jobs_of
SELECT * FROM whole_jobs
WHERE status IN ('queued', 'running', 'waiting') AND server IN (SELECT value FROM json_each(:servers))
ORDER BY coalesce(json_extract(CAST(error AS TEXT), '$.code') = 'no_provider', 0), n LIMIT :limit;

-- name: unfinished_jobs_of_owner
-- By indexes with the owner and the server: otherwise each call would read the jobs of all others.
SELECT * FROM whole_jobs WHERE n IN (
    SELECT n FROM jobs INDEXED BY jobs_queued
    WHERE status = 'queued' AND server IN (SELECT value FROM json_each(:servers)) AND batch IN (0, 1) AND owner = :owner
    UNION ALL
    SELECT n FROM jobs INDEXED BY jobs_active_of_lane
    WHERE status IN ('running', 'waiting') AND owner = :owner AND server IN (SELECT value FROM json_each(:servers))
)
ORDER BY coalesce(json_extract(CAST(error AS TEXT), '$.code') = 'no_provider', 0), n LIMIT :limit;

-- name: delete_job
DELETE FROM jobs WHERE n = :n;

-- name: inherit
UPDATE jobs SET previous = :previous WHERE owner = :owner AND previous = :id;

-- name: delete_asked
DELETE FROM asked WHERE job = :n;

-- name: delete_events
DELETE FROM events WHERE place BETWEEN :from AND :to;

-- name: insert_image
INSERT INTO images (job, id, media_type, bytes) VALUES (:job, :id, :media_type, :bytes);

-- name: insert_image_chunk
INSERT INTO image_chunks (job, image, chunk, data) VALUES (:job, :image, :chunk, :data);

-- name: image
SELECT log, images.id, media_type, bytes FROM jobs JOIN images ON images.job = jobs.n
WHERE owner = :owner AND jobs.id = :job AND images.id = :id;

-- name: image_chunk
SELECT data FROM jobs JOIN image_chunks ON job = jobs.n
WHERE owner = :owner AND jobs.id = :job AND log = :log AND image = :image AND chunk = :chunk;

-- name: has_image
SELECT EXISTS (SELECT 1 FROM images WHERE job = :job AND id = :id);

-- name: delete_images
DELETE FROM images WHERE job = :n;

-- name: delete_image_chunks
DELETE FROM image_chunks WHERE job = :n;

-- name: delete_marks_of_job
DELETE FROM marks WHERE notice IN (SELECT n FROM notices WHERE owner = :owner AND job = :id);

-- name: delete_notices_of_job
DELETE FROM notices WHERE owner = :owner AND job = :id;

-- name: insert_deleted
INSERT INTO deleted (owner, id, rev) VALUES (:owner, :id, :rev);

-- name: forget_deleted
DELETE FROM deleted WHERE n <= :newest - :kept;

-- name: insert_notice
INSERT INTO notices (owner, id, job, grp, body, call_at, rev) VALUES (:owner, :id, :job, :batch, :body, :call_at, :rev);

-- name: notices
SELECT body, read_at FROM notices LEFT JOIN marks ON notice = n AND viewer = :viewer
WHERE owner = :owner AND NOT coalesce(dismissed, 0) ORDER BY n DESC;

-- name: unread_notices
SELECT n, job FROM notices LEFT JOIN marks ON notice = n AND viewer = :viewer
WHERE owner = :owner AND notice IS NULL ORDER BY n;

-- name: unread_notices_among
SELECT n, job FROM notices LEFT JOIN marks ON notice = n AND viewer = :viewer
WHERE owner = :owner AND notice IS NULL AND id IN (SELECT value FROM json_each(:ids)) ORDER BY n;

-- name: unread_notices_of_job
SELECT n, job FROM notices LEFT JOIN marks ON notice = n AND viewer = :viewer
WHERE owner = :owner AND notice IS NULL AND job = :id;

-- name: shown_notice
SELECT n, job FROM notices LEFT JOIN marks ON notice = n AND viewer = :viewer
WHERE owner = :owner AND id = :id AND NOT coalesce(dismissed, 0);

-- name: mark_read
INSERT INTO marks (notice, viewer, read_at, dismissed) VALUES (:n, :viewer, :at, 0);

-- name: mark_dismissed
INSERT INTO marks (notice, viewer, read_at, dismissed) VALUES (:n, :viewer, :at, 1)
ON CONFLICT (notice, viewer) DO UPDATE SET dismissed = 1;

-- name: touch_notice
UPDATE notices SET rev = :rev WHERE n = :n;

-- name: batch
SELECT body FROM groups WHERE owner = :owner AND id = :id;

-- name: put_batch
INSERT INTO groups (owner, id, body) VALUES (:owner, :id, :body)
ON CONFLICT (owner, id) DO UPDATE SET body = :body;

-- name: touch_batch
UPDATE groups SET rev = :rev WHERE owner = :owner AND id = :id;

-- name: delete_batch
DELETE FROM groups WHERE owner = :owner AND id = :id;

-- name: any_of_batch
SELECT 1 FROM jobs WHERE owner = :owner AND grp = :id LIMIT 1;

-- name: unfinished_of_batch
SELECT * FROM whole_jobs
WHERE owner = :owner AND grp = :id AND status IN ('queued', 'running', 'waiting') ORDER BY n LIMIT :limit;

-- name: progress_of_batch
SELECT coalesce(sum(status = 'running'), 0) AS running, coalesce(sum(status = 'waiting'), 0) AS waiting FROM jobs
WHERE owner = :owner AND lane = :id AND status IN ('running', 'waiting');

-- name: places_of_batch
SELECT * FROM jobs
WHERE owner = :owner AND grp = :id AND status_rev >= :change AND (status_rev > :change OR n > :place)
    AND retried_by IS NULL
ORDER BY status_rev, n LIMIT :limit;

-- name: newest_n
SELECT coalesce(max(n), 0) FROM jobs;

-- name: unanswered_of_batch
SELECT * FROM whole_jobs
WHERE owner = :owner AND grp = :id AND n > :after AND n <= :upto
    AND status IN ('failed', 'cancelled', 'interrupted') AND retried_by IS NULL
ORDER BY n LIMIT :limit;

-- name: delete_marks_of_batch
DELETE FROM marks WHERE notice IN (SELECT n FROM notices WHERE owner = :owner AND grp = :id);

-- name: delete_notices_of_batch
DELETE FROM notices WHERE owner = :owner AND grp = :id;

-- name: mutes
SELECT kind, name FROM mutes WHERE owner = :owner AND viewer = :viewer AND muted ORDER BY kind, name;

-- name: everybodys_mutes
SELECT DISTINCT kind, name FROM mutes WHERE owner = :owner AND muted;

-- name: is_muted
SELECT EXISTS (
    SELECT 1 FROM mutes WHERE owner = :owner AND viewer = :viewer AND kind = :kind AND name = :name AND muted
);

-- name: mute
INSERT INTO mutes (owner, viewer, kind, name, muted, rev) VALUES (:owner, :viewer, :kind, :name, :on, :rev)
ON CONFLICT (owner, viewer, kind, name) DO UPDATE SET muted = :on, rev = :rev;

-- name: due_webhooks
-- The same condition as transitions.is_call_due.
SELECT n, body, EXISTS (SELECT 1 FROM marks WHERE notice = n) AS known FROM notices
WHERE owner = :owner AND call_at IS NOT NULL AND (
    call_at <= :at
    OR call_at > :farthest
    OR (
        call_at > :at + :call_after
        AND abs(call_at - :call_after - json_extract(CAST(body AS TEXT), '$.created_at')) < 0.001
    )
)
ORDER BY call_at, n LIMIT :limit;

-- name: put_call_off
UPDATE notices SET call_at = :call_at WHERE n = :n;

-- name: set_call_at
UPDATE notices SET call_at = :call_at WHERE owner = :owner AND id = :id;

-- ---------------------------------------------------------------------------------------------------------------------
-- Threads.

-- name: threads
SELECT name, max(n) AS n FROM (
    SELECT thread AS name, max(n) AS n FROM jobs WHERE owner = :owner AND thread IS NOT NULL GROUP BY thread
    UNION ALL
    SELECT name, n FROM forks WHERE owner = :owner
)
GROUP BY name HAVING max(n) < :after ORDER BY n DESC LIMIT :limit;

-- name: sums_of_thread
SELECT count(*) FILTER (WHERE retry_of IS NULL) AS jobs, min(created_at) AS created_at,
    max(coalesce(ended_at, started_at, created_at)) AS updated_at
FROM jobs WHERE owner = :owner AND thread = :thread;

-- name: unfinished_of_thread
SELECT * FROM jobs
WHERE owner = :owner AND thread = :thread AND status IN ('queued', 'running', 'waiting') ORDER BY n LIMIT 1;

-- name: listed_job
SELECT * FROM jobs WHERE owner = :owner AND id = :id;

-- name: jobs_of_thread
SELECT n, id, status, seq FROM jobs WHERE owner = :owner AND thread = :thread ORDER BY n;

-- name: is_thread
SELECT EXISTS (SELECT 1 FROM jobs WHERE owner = :owner AND thread = :thread)
    OR EXISTS (SELECT 1 FROM forks WHERE owner = :owner AND name = :thread);

-- name: fork
SELECT * FROM forks WHERE owner = :owner AND name = :name;

-- name: use_place
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'jobs' RETURNING seq;

-- name: first_place
INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', 1);

-- name: insert_fork
INSERT INTO forks (n, owner, name, origin, model, title, messages, turns, created_at, touched_at)
VALUES (:n, :owner, :name, :origin, :model, :title, :messages, :turns, :created_at, :touched_at);

-- name: touch_fork
UPDATE forks SET touched_at = max(touched_at, :at) WHERE owner = :owner AND name = :name;

-- name: delete_fork
DELETE FROM forks WHERE owner = :owner AND name = :name;

-- name: forget_forks
DELETE FROM forks
WHERE touched_at < :before AND (:owner IS NULL OR owner = :owner)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.owner = forks.owner AND thread = forks.name);

-- name: rename_fork
UPDATE forks SET name = :new WHERE owner = :owner AND name = :name;

-- name: rename_origin
UPDATE forks SET origin = :new WHERE owner = :owner AND origin = :name;

-- name: rename_thread
UPDATE jobs SET thread = :new, rev = :rev, status_rev = :rev WHERE owner = :owner AND thread = :name;

-- name: rename_in_notices
UPDATE notices SET body = CAST(json_set(CAST(body AS TEXT), '$.thread', :new) AS BLOB), rev = :rev
WHERE owner = :owner AND job IN (SELECT id FROM jobs WHERE owner = :owner AND thread = :new);

-- name: mute_new_name
INSERT INTO mutes (owner, viewer, kind, name, muted, rev)
SELECT owner, viewer, kind, :new, 1, :rev FROM mutes
WHERE owner = :owner AND kind = 'thread' AND name = :name AND muted
ON CONFLICT (owner, viewer, kind, name) DO UPDATE SET muted = 1, rev = excluded.rev;

-- name: unmute_old_name
UPDATE mutes SET muted = 0, rev = :rev WHERE owner = :owner AND kind = 'thread' AND name = :name AND muted;

-- ---------------------------------------------------------------------------------------------------------------------
-- Maintenance: segments of events, and expired jobs.

-- name: logs_to_pack
SELECT n, seq, packed_seq, 1 AS ended FROM jobs INDEXED BY jobs_to_pack
WHERE ended_at IS NOT NULL AND packed_seq < seq
UNION ALL
SELECT n, seq, packed_seq, 0 FROM jobs
WHERE status IN ('queued', 'running', 'waiting') AND seq - packed_seq >= :long
LIMIT :limit;

-- name: loose_events
SELECT place, first, body FROM events WHERE place BETWEEN :from AND :to ORDER BY place;

-- name: packed_seq
SELECT packed_seq FROM jobs WHERE n = :n;

-- name: set_packed_seq
UPDATE jobs SET packed_seq = :seq WHERE n = :n;

-- name: insert_packed_events
INSERT INTO events (place, first, body, packed) VALUES (:place, :first, :body, 1);

-- name: old_jobs
-- A job expires together with its thread and its retries: none of them may be unfinished, young or recently read, nor
-- unread if read jobs are requested.
SELECT n, owner, id, log, ended_at, announced_at FROM jobs
WHERE ended_at IS NOT NULL AND ended_at < :before AND (:owner IS NULL OR owner = :owner)
    AND (
        NOT :unread
        OR EXISTS (
            SELECT 1 FROM notices WHERE notices.owner = jobs.owner AND notices.job = jobs.id
                AND NOT EXISTS (SELECT 1 FROM marks WHERE marks.notice = notices.n)
        )
        OR EXISTS (
            SELECT 1 FROM notices WHERE notices.owner = jobs.owner AND notices.grp = jobs.grp
                AND NOT EXISTS (SELECT 1 FROM marks WHERE marks.notice = notices.n)
        )
        OR EXISTS ( -- a batch that has not ended yet: its notice is still to come
            SELECT 1 FROM groups
            WHERE groups.owner = jobs.owner AND groups.id = jobs.grp
                AND json_extract(CAST(groups.body AS TEXT), '$.ended_at') IS NULL
        )
    )
    AND NOT EXISTS (
        WITH RECURSIVE related (n, retried_by) AS (
            SELECT jobs.n, jobs.retried_by
            UNION
            SELECT turn.n, turn.retried_by FROM jobs AS turn
            WHERE turn.owner = jobs.owner AND turn.thread = jobs.thread
            UNION
            SELECT later.n, later.retried_by FROM related JOIN jobs AS later
            ON later.owner = jobs.owner AND later.id = related.retried_by
        )
        SELECT 1 FROM related JOIN jobs AS other ON other.n = related.n
        WHERE other.ended_at IS NULL OR other.ended_at >= :before
            OR EXISTS (
                SELECT 1 FROM notices LEFT JOIN marks ON marks.notice = notices.n
                WHERE notices.owner = other.owner AND notices.job = other.id
                    AND (marks.read_at >= :before OR (NOT :unread AND marks.notice IS NULL))
            )
            OR EXISTS (
                SELECT 1 FROM notices LEFT JOIN marks ON marks.notice = notices.n
                WHERE notices.owner = other.owner AND notices.grp = other.grp
                    AND (marks.read_at >= :before OR (NOT :unread AND marks.notice IS NULL))
            )
            OR (NOT :unread AND EXISTS (
                SELECT 1 FROM groups
                WHERE groups.owner = other.owner AND groups.id = other.grp
                    AND json_extract(CAST(groups.body AS TEXT), '$.ended_at') IS NULL
            ))
    )
ORDER BY ended_at, n LIMIT :limit;

-- name: bytes_of_job
SELECT (SELECT length(spec) + length(history) FROM asked WHERE job = :n)
    + (SELECT coalesce(sum(length(body)), 0) FROM events WHERE place BETWEEN :from AND :to)
    + (SELECT coalesce(sum(bytes), 0) FROM images WHERE job = :n);

-- name: has_other_owners
SELECT EXISTS (SELECT 1 FROM jobs WHERE owner < :owner) OR EXISTS (SELECT 1 FROM jobs WHERE owner > :owner);

-- name: bytes_of_owner
SELECT coalesce(sum(length(asked.spec) + length(asked.history) + (
    SELECT coalesce(sum(length(body)), 0) FROM events WHERE place BETWEEN jobs.n << 32 AND ((jobs.n + 1) << 32) - 1
) + (
    SELECT coalesce(sum(bytes), 0) FROM images WHERE images.job = jobs.n
)), 0) FROM jobs JOIN asked ON asked.job = jobs.n WHERE owner = :owner;

-- name: announce
UPDATE jobs SET announced_at = :at WHERE owner = :owner AND id = :id AND log = :log AND announced_at IS NULL;

-- ---------------------------------------------------------------------------------------------------------------------
-- Costs.

-- name: keep_spent
INSERT INTO ledger (owner, at, model, jobs, input_tokens, output_tokens, usd, estimated)
VALUES (:owner, :at, :model, :jobs, :input_tokens, :output_tokens, :usd, :estimated)
ON CONFLICT (owner, at, model) DO UPDATE SET
    jobs = jobs + excluded.jobs,
    input_tokens = coalesce(input_tokens + excluded.input_tokens, input_tokens, excluded.input_tokens),
    output_tokens = coalesce(output_tokens + excluded.output_tokens, output_tokens, excluded.output_tokens),
    usd = coalesce(usd + excluded.usd, usd, excluded.usd),
    estimated = max(estimated, excluded.estimated);

-- name: spent
SELECT created_at AS at, json_extract(CAST(listed AS TEXT), '$.model') AS model, thread, notebook, grp, submitted_by,
    1 AS jobs,
    json_extract(CAST(usage AS TEXT), '$.input_tokens') AS input_tokens,
    json_extract(CAST(usage AS TEXT), '$.output_tokens') AS output_tokens,
    cost AS usd, cost_estimated AS estimated
FROM jobs
WHERE owner = :owner AND (usage IS NOT NULL OR cost IS NOT NULL) AND created_at >= :first AND created_at < :end
UNION ALL
SELECT at, model, NULL, NULL, NULL, NULL, jobs, input_tokens, output_tokens, usd, estimated
FROM ledger
WHERE owner = :owner AND at >= :first AND at < :end

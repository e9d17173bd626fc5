-- check_token: whom a secret stands for; a write at most once a minute. O(1).
WITH found AS (
    SELECT id, name, role, last_used_at FROM api_token
    WHERE digest = %(digest)s AND revoked_at IS NULL
), used AS (
    UPDATE api_token t SET last_used_at = clock_timestamp() FROM found
    WHERE t.id = found.id AND (found.last_used_at IS NULL
        OR found.last_used_at < clock_timestamp() - interval '1 min')
)
SELECT name, role FROM found

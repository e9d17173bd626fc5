-- check_session: whose session this is; a write at most once a minute. O(1).
WITH found AS (
    SELECT s.digest, s.seen_at, u.name, u.role
    FROM panel_session s JOIN panel_user u ON u.name = s.user_name
    WHERE s.digest = %(digest)s
      AND s.seen_at > clock_timestamp() - make_interval(secs => %(idle)s)
      AND s.created_at > clock_timestamp() - make_interval(secs => %(age)s)
), seen AS (
    UPDATE panel_session s SET seen_at = clock_timestamp() FROM found
    WHERE s.digest = found.digest AND found.seen_at < clock_timestamp() - interval '1 min'
)
SELECT name, role FROM found

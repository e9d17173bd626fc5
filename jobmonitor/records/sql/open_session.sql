-- open_session: somebody logged in; what has expired, of anybody, is cleared away. Nothing comes
-- back where the user is gone, or has got another password meanwhile. O(expired).
WITH expired AS (
    DELETE FROM panel_session
    WHERE seen_at <= clock_timestamp() - make_interval(secs => %(idle)s)
       OR created_at <= clock_timestamp() - make_interval(secs => %(age)s)
), known AS (
    UPDATE panel_user SET last_login_at = clock_timestamp()
    WHERE name = %(name)s AND password = %(password)s RETURNING name
)
INSERT INTO panel_session (digest, user_name) SELECT %(digest)s, name FROM known
RETURNING user_name

-- change_user: a new role, a new password, or both; a new password ends the sessions.
WITH changed AS (
    UPDATE panel_user SET role = coalesce(%(role)s, role),
        password = coalesce(%(password)s, password)
    WHERE name = %(name)s RETURNING name
), ended AS (
    DELETE FROM panel_session s USING changed
    WHERE s.user_name = changed.name AND %(password)s::text IS NOT NULL
)
SELECT name FROM changed

-- list_users: all of them, by name, with the number of their open sessions.
SELECT name, role, created_at, last_login_at,
       (SELECT count(*) FROM panel_session s WHERE s.user_name = u.name
           AND s.seen_at > clock_timestamp() - make_interval(secs => %(idle)s)
           AND s.created_at > clock_timestamp() - make_interval(secs => %(age)s)) AS sessions
FROM panel_user u ORDER BY name

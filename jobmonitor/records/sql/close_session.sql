-- close_session: somebody logged out.
DELETE FROM panel_session WHERE digest = %(digest)s

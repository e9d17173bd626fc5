-- remove_user: the sessions go with the row.
DELETE FROM panel_user WHERE name = %(name)s RETURNING name

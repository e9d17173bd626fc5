-- user: one of them, with the hash of the password.
SELECT name, role, password FROM panel_user WHERE name = %(name)s

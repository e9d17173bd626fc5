-- create_user: nothing comes back where the name is taken.
INSERT INTO panel_user (name, role, password) VALUES (%(name)s, %(role)s, %(password)s)
ON CONFLICT (name) DO NOTHING RETURNING name

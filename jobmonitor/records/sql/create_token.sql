-- create_token: only the hash of its secret is kept.
INSERT INTO api_token (name, role, digest) VALUES (%(name)s, %(role)s, %(digest)s)

-- list_tokens: all of them, oldest first.
SELECT name, role, created_at, last_used_at, revoked_at FROM api_token ORDER BY id

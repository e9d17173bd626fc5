-- revoke_token: the row stays for the audit, under a name that is free again.
UPDATE api_token SET revoked_at = clock_timestamp(), name = name || ' (revoked ' || id || ')'
WHERE name = %(name)s AND revoked_at IS NULL
RETURNING id

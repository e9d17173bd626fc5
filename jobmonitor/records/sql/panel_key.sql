-- panel_key: what signs the cookies; the first one that is offered is kept.
WITH made AS (
    INSERT INTO panel_key (secret) VALUES (%(secret)s) ON CONFLICT DO NOTHING RETURNING secret
)
SELECT secret FROM made UNION ALL SELECT secret FROM panel_key LIMIT 1

-- beat: the worker lives, also where it had been taken for lost.
UPDATE worker SET beat_at = clock_timestamp(), ended_at = NULL WHERE id = %(id)s

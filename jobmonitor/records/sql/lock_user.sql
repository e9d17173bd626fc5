-- lock_user: whoever logs in as this user waits, and then sees the change.
SELECT name FROM panel_user WHERE name = %(name)s FOR UPDATE

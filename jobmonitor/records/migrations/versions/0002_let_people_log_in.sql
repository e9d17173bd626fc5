-- Who may use the panel. Passwords are kept as salted scrypt hashes.
CREATE TABLE panel_user (
    name              text COLLATE "C" PRIMARY KEY,
    role              text NOT NULL CHECK (role IN ('viewer', 'operator')),
    password          text NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_login_at     timestamptz
);

-- Who is logged in; only a hash of what the cookie holds is kept.
CREATE TABLE panel_session (
    digest            bytea PRIMARY KEY,
    user_name         text COLLATE "C" NOT NULL
                          REFERENCES panel_user ON UPDATE CASCADE ON DELETE CASCADE,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX panel_session_user ON panel_session (user_name);

-- What signs the panel's cookies, the same for all of its processes. One row.
CREATE TABLE panel_key (
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret            bytea NOT NULL
);

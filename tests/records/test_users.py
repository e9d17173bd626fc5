"""People who log in, their sessions, and the key of the panel's cookies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobmonitor.errors import UserRefused
from jobmonitor.records.database import Database, fetch
from jobmonitor.records.users import SESSION_AGE, SESSION_IDLE, User, Users
from tests.waiting import eventually

PASSWORD = "a long pass phrase"
OTHER = "another pass phrase"
MINUTE = 60.0


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, pool_size=8)
    yield database
    database.close()


@pytest.fixture
def users(database: Database) -> Users:
    """Only `ann`, a viewer."""
    sql(database, "TRUNCATE panel_user, panel_session, panel_key")
    users = Users(database)
    users.create("ann", "viewer", PASSWORD)
    return users


def sql(database: Database, statement: str, *parameters: Any) -> list[Any]:
    with database.connection() as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def log_in(users: Users, password: str = PASSWORD) -> str:
    secret = users.log_in("ann", password)
    assert secret is not None
    return secret


def age(database: Database, column: str, seconds: float) -> None:
    """Let this moment of all sessions have been so long ago."""
    now = f"clock_timestamp() - make_interval(secs => {seconds})"
    sql(database, f"UPDATE panel_session SET {column} = {now}")


# -- who there is --------------------------------------------------------------------------


def test_a_user_is_listed_without_a_password(users: Users) -> None:
    [ann] = users.list()
    assert (ann["name"], ann["role"], ann["sessions"]) == ("ann", "viewer", 0)
    assert ann["created_at"] is not None
    assert ann["last_login_at"] is None
    assert "password" not in ann


def test_users_are_listed_by_name(users: Users) -> None:
    for name in ("zoe", "Bob", "bea"):
        users.create(name, "operator", PASSWORD)
    assert [user["name"] for user in users.list()] == ["Bob", "ann", "bea", "zoe"]


def test_a_name_is_taken_once(users: Users) -> None:
    with pytest.raises(UserRefused, match="there is a user 'ann' already"):
        users.create("ann", "operator", OTHER)
    assert users.list()[0]["role"] == "viewer"
    assert users.log_in("ann", OTHER) is None


@pytest.mark.parametrize(
    "name", ["", " ann", "ann ", "a\nb", "a\0b", "a\x1b[31m", "a\u2028b", "\ud800", "x" * 101]
)
def test_a_name_that_cannot_be_read_is_refused(users: Users, name: str) -> None:
    with pytest.raises(UserRefused, match="1 to 100 printable characters"):
        users.create(name, "viewer", PASSWORD)
    assert len(users.list()) == 1


@pytest.mark.parametrize("name", ["x" * 100, "Zoë Müller", "o'neil", '"; DROP', "%", "<b>"])
def test_any_printable_name_is_taken_as_it_is(users: Users, name: str) -> None:
    users.create(name, "viewer", PASSWORD)
    secret = users.log_in(name, PASSWORD)
    assert users.session(secret or "") == User(name, "viewer")


@pytest.mark.parametrize("role", ["", "admin", "Viewer"])
def test_a_role_that_does_not_exist_is_refused(users: Users, role: str) -> None:
    with pytest.raises(UserRefused, match="viewer and operator"):
        users.create("bob", role, PASSWORD)
    with pytest.raises(UserRefused, match="viewer and operator"):
        users.change("ann", role=role)
    assert [user["role"] for user in users.list()] == ["viewer"]


@pytest.mark.parametrize("password", ["", "123456789", "x" * 1_001])
def test_a_password_that_is_too_short_or_too_long_is_refused(
    users: Users, password: str
) -> None:
    says = f"10 to 1,000 characters; this one has {len(password)}"
    with pytest.raises(UserRefused, match=says):
        users.create("bob", "viewer", password)
    with pytest.raises(UserRefused, match=says):
        users.change("ann", password=password)
    assert users.log_in("ann", PASSWORD)


@pytest.mark.parametrize(
    "password", ["1234567890", "x" * 1_000, "очень длинный пароль", "\0" * 10]
)
def test_a_password_may_hold_anything(users: Users, password: str) -> None:
    users.change("ann", password=password)
    assert users.log_in("ann", password)
    assert users.log_in("ann", password + "x") is None


def test_only_a_salted_hash_of_the_password_is_kept(users: Users, database: Database) -> None:
    users.create("bob", "viewer", PASSWORD)
    rows = sql(database, "SELECT password FROM panel_user")
    [first, second] = [row[0] for row in rows]
    assert first.startswith("scrypt$32768$8$1$")
    assert first != second
    [(stored,)] = sql(database, "SELECT string_agg(u::text, '') FROM panel_user u")
    assert PASSWORD not in stored


@pytest.mark.parametrize("name", ["nobody", "a\0", "\ud800", "Ann", "%", ""])
def test_an_unknown_user_cannot_be_changed_or_removed(users: Users, name: str) -> None:
    with pytest.raises(UserRefused, match="there is no user"):
        users.change(name, role="operator")
    with pytest.raises(UserRefused, match="there is no user"):
        users.remove(name)
    assert [user["role"] for user in users.list()] == ["viewer"]


# -- who is logged in ----------------------------------------------------------------------


def test_a_login_opens_a_session_that_says_who_it_is(users: Users) -> None:
    assert users.session(log_in(users)) == User("ann", "viewer")
    [ann] = users.list()
    assert ann["sessions"] == 1
    assert ann["last_login_at"] is not None


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "a wrong pass phrase"), ("ann", ""), ("ann", PASSWORD + "x" * 2_000),
        ("nobody", PASSWORD), ("Ann", PASSWORD), ("ann ", PASSWORD), ("a\0", PASSWORD),
        ("\ud800", "\ud800"), ("x" * 10_000, PASSWORD), ("", ""),
    ],
)  # fmt: skip
def test_a_wrong_password_and_an_unknown_name_open_nothing(
    users: Users, name: str, password: str
) -> None:
    assert users.log_in(name, password) is None
    assert users.list()[0]["sessions"] == 0


def test_each_login_has_a_secret_of_which_only_a_hash_is_kept(
    users: Users, database: Database
) -> None:
    first, second = log_in(users), log_in(users)
    assert first != second
    [(stored,)] = sql(database, "SELECT string_agg(s::text, '') FROM panel_session s")
    assert first not in stored
    assert first.encode().hex() not in stored


@pytest.mark.parametrize("secret", ["", "x", "\0", "\ud800", "x" * 100_000, "%"])
def test_a_secret_that_nobody_has_is_nobody(users: Users, secret: str) -> None:
    log_in(users)
    assert users.session(secret) is None


def test_a_logout_ends_this_session_only(users: Users) -> None:
    here, there = log_in(users), log_in(users)
    users.log_out(here)
    assert users.session(here) is None
    assert users.session(there) == User("ann", "viewer")
    users.log_out(here)


def test_a_new_password_ends_all_sessions_of_this_user_only(users: Users) -> None:
    users.create("bob", "viewer", PASSWORD)
    old, of_bob = log_in(users), users.log_in("bob", PASSWORD)
    users.change("ann", password=OTHER)
    assert users.session(old) is None
    assert users.session(of_bob or "") == User("bob", "viewer")
    assert users.log_in("ann", PASSWORD) is None
    assert users.session(log_in(users, OTHER)) == User("ann", "viewer")


def test_a_new_role_counts_at_once_in_open_sessions(users: Users) -> None:
    secret = log_in(users)
    users.change("ann", role="operator")
    assert users.session(secret) == User("ann", "operator")


def test_the_sessions_of_a_removed_user_end_also_when_the_name_comes_back(
    users: Users,
) -> None:
    secret = log_in(users)
    users.remove("ann")
    assert users.session(secret) is None
    users.create("ann", "operator", PASSWORD)
    assert users.session(secret) is None


@pytest.mark.parametrize(
    ("column", "seconds", "is_open"),
    [
        ("seen_at", SESSION_IDLE - MINUTE, True),
        ("seen_at", SESSION_IDLE + MINUTE, False),
        ("created_at", SESSION_AGE - MINUTE, True),
        ("created_at", SESSION_AGE + MINUTE, False),
    ],
)
def test_a_session_ends_when_it_is_idle_or_old(
    users: Users, database: Database, column: str, seconds: float, is_open: bool
) -> None:
    secret = log_in(users)
    age(database, column, seconds)
    assert (users.session(secret) is not None) is is_open
    assert users.list()[0]["sessions"] == int(is_open)


def test_a_request_keeps_an_idle_session_open_but_not_an_old_one(
    users: Users, database: Database
) -> None:
    secret = log_in(users)
    age(database, "seen_at", SESSION_IDLE - MINUTE)
    users.session(secret)
    [(idle,)] = sql(
        database, "SELECT extract(epoch FROM clock_timestamp() - seen_at) FROM panel_session"
    )
    assert idle < MINUTE
    age(database, "created_at", SESSION_AGE + MINUTE)
    assert users.session(secret) is None


def test_a_login_clears_away_what_has_expired(users: Users, database: Database) -> None:
    log_in(users)
    age(database, "seen_at", SESSION_IDLE + MINUTE)
    log_in(users)
    assert sql(database, "SELECT count(*) FROM panel_session") == [(1,)]


def test_a_login_with_the_old_password_fails_where_it_changes_meanwhile(
    users: Users, database: Database
) -> None:
    with ThreadPoolExecutor() as pool, database.transaction() as connection:
        connection.execute("UPDATE panel_user SET password = 'scrypt$2$1$1$00$00'")
        login = pool.submit(users.log_in, "ann", PASSWORD)
        eventually(lambda: waits(database, "open_session"))
        connection.execute("COMMIT")
        assert login.result() is None
    assert sql(database, "SELECT count(*) FROM panel_session") == [(0,)]


def test_a_new_password_ends_a_session_that_opens_at_this_moment(
    users: Users, database: Database
) -> None:
    [(stored,)] = sql(database, "SELECT password FROM panel_user")
    facts = {"name": "ann", "password": stored, "digest": b"x", "idle": 60, "age": 60}
    with ThreadPoolExecutor() as pool, database.transaction() as connection:
        fetch(connection, "open_session", facts)
        change = pool.submit(users.change, "ann", password=OTHER)
        eventually(lambda: waits(database, "lock_user"))
        connection.execute("COMMIT")
        change.result()
    assert sql(database, "SELECT count(*) FROM panel_session") == [(0,)]


def waits(database: Database, verb: str) -> bool:
    """Whether a statement of this verb waits for a lock."""
    waiting = "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return any(query.startswith(f"-- {verb}:") for (query,) in sql(database, waiting))


# -- the key of the cookies ----------------------------------------------------------------


def test_the_key_is_made_once_and_the_same_for_all(users: Users, database: Database) -> None:
    key = users.key()
    assert len(key) == 32
    assert Users(database).key() == key
    code = (
        "import os; from jobmonitor.records.database import Database as D;"
        "from jobmonitor.records.users import Users;"
        "print(Users(D(os.environ['URL'])).key().hex())"
    )
    environment = os.environ | {"URL": database.url}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == key.hex()


@pytest.mark.usefixtures("users")
def test_a_key_that_another_process_makes_at_this_moment_is_the_key(
    database: Database,
) -> None:
    with ThreadPoolExecutor() as pool, database.transaction() as connection:
        connection.execute("INSERT INTO panel_key (secret) VALUES ('theirs')")
        ours = pool.submit(Users(database).key)
        eventually(lambda: waits(database, "panel_key"))
        connection.execute("COMMIT")
        assert ours.result() == b"theirs"


@pytest.mark.usefixtures("users")
def test_many_who_ask_first_get_one_key(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: Users(database).key(), range(16)))
    assert len(set(keys)) == 1

"""Who is looked at: login, logout, sessions, roles, and tokens against forged requests.

Runs in: the web server. The cookie holds a random secret and is signed with the key that the
database keeps for all processes; only a hash of the secret is in the database, where a session
ends with a logout, a new password, or time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)  # fmt: skip
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import Forbidden, ServiceUnavailable

from flask_panel.addresses import here
from flask_panel.auth import limiter, monitor
from jobmonitor.errors import JobMonitorError
from jobmonitor.records.users import SESSION_AGE, User, Users

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]
#: paths without a session: programs send tokens, and no cookie ever opens them
_WITHOUT_SESSION = ("/api/", "/healthz", "/readyz", "/static/")
_PER_ACCOUNT, _PER_ADDRESS = "5/minute", "30/minute"
_OUTSIDE = {"cross-site", "same-site"}

login = Blueprint("login", __name__)
csrf = CSRFProtect()


class Person(UserMixin):
    """Who is logged in; its id is the secret of the session, not the name."""

    def __init__(self, user: User, secret: str) -> None:
        self.name = user.name
        self.role = user.role
        self._secret = secret

    def get_id(self) -> str:
        """Return what the cookie keeps."""
        return self._secret

    @property
    def is_operator(self) -> bool:
        """Whether this person may change jobs."""
        return self.role == "operator"


class PanelSessions(SecureCookieSessionInterface):
    """Flask's own, but the key is read when a page first needs it."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Read the session of a page; none, and no database, for anything else."""
        if request.path.startswith(_WITHOUT_SESSION):
            return SecureCookieSession()
        if not app.secret_key:
            try:
                app.secret_key = Users(app.extensions["jobmonitor"].database).key()
            except JobMonitorError:
                return None  # `_need_a_session` says so, where errors become answers
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Over TLS the cookie is never sent without it."""
        return super().get_cookie_secure(app) or request.is_secure


def register_login(app: Flask) -> None:
    """Let people log in; every POST of a page needs a token from a page of ours."""
    app.config.update(
        SESSION_COOKIE_NAME="jobmonitor",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(seconds=SESSION_AGE),
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.session_interface = PanelSessions()
    manager = LoginManager()
    manager.init_app(app, add_context_processor=False)  # an error page reads no database
    manager.session_protection = None
    manager.user_loader(_person)
    app.before_request(_need_a_session)
    app.before_request(_refuse_other_sites)
    csrf.init_app(app)
    app.register_blueprint(login)


def panel_view(role: str) -> Callable[[View[P]], View[P]]:
    """Let a page be seen by who is logged in with this role; others are sent to the login."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            if not current_user.is_authenticated:
                return _to_login()
            g.person = current_user._get_current_object()
            if role == "operator" and not current_user.is_operator:
                raise Forbidden(f"{current_user.name} may look, but not change jobs")
            return view(*args, **kwargs)

        return guarded

    return decorate


@login.get("/login")
def form() -> ResponseReturnValue:
    """Show the form; who is logged in already goes on."""
    if current_user.is_authenticated:
        return redirect(local_path(request.args.get("next")))
    return render_template("login/form.html", name="")


@login.post("/login")
def log_in() -> ResponseReturnValue:
    """Open a session, under a new secret and a new cookie."""
    name = request.form.get("name", "")
    with _limited(name):
        secret = Users(monitor().database).log_in(name, request.form.get("password", ""))
    if secret is None:
        flash("This name and this password do not go together.", "danger")
        return render_template("login/form.html", name=name[:100]), 401
    found = Users(monitor().database).session(secret)
    session.clear()
    session.permanent = True
    if found is not None:
        login_user(Person(found, secret))
    return redirect(local_path(request.args.get("next")), 303)


@login.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session, here and in the database."""
    if current_user.is_authenticated:
        Users(monitor().database).log_out(current_user.get_id())
    logout_user()
    session.clear()
    return redirect(url_for("login.form"), 303)


def local_path(wanted: str | None) -> str:
    """Return where to go after the login: a path of this panel, whatever was asked for."""
    start = url_for("jobs_page.index")
    if not wanted or not wanted.startswith("/") or not wanted.isprintable():
        return start
    return start if wanted[1:2] in {"/", "\\"} or "\\" in wanted else wanted


def _person(secret: str) -> Person | None:
    found = Users(monitor().database).session(secret)
    return Person(found, secret) if found else None


def _to_login() -> ResponseReturnValue:
    """Send a page to the login, and let a part of a page take its whole page there."""
    if request.headers.get("HX-Request"):
        to_login = url_for("login.form", next=_page_of_part())
        return Response(status=401, headers={"HX-Redirect": to_login})
    return redirect(url_for("login.form", next=here() if request.method == "GET" else None))


def _page_of_part() -> str | None:
    """The page in which a part asks, as the browser says."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return None
    return (f"{page.path}?{page.query}" if page.query else page.path) or None


@contextmanager
def _limited(name: str) -> Iterator[None]:
    """Slow down who guesses passwords; raises TooManyRequests."""
    address = get_remote_address()
    with (
        limiter().shared_limit(_PER_ADDRESS, scope="login", key_func=lambda: address),
        limiter().shared_limit(
            _PER_ACCOUNT, scope="login-account", key_func=lambda: f"{name[:100]} {address}"
        ),
    ):
        yield


def _need_a_session() -> None:
    """Raise what kept the cookie's key from being read; pages cannot work without it."""
    if current_app.session_interface.is_null_session(session):
        Users(monitor().database).key()
        raise ServiceUnavailable("the database is back; load the page again")


def _refuse_other_sites() -> None:
    """A browser says where a request comes from; a form of another site changes nothing."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site") in _OUTSIDE:
        raise Forbidden("this request came from a page of another site")

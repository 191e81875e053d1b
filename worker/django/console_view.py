"""The console as a view: Django's users, with Django's permissions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from trackrelay.configuration.console_values import ConsoleUser

_APP = "trackrelay_ops"
#: Who has all of these operates.
_OPERATING = tuple(f"{_APP}.{each}_deadletter" for each in ("replay", "repair", "discard"))


# The console checks its own forms; Django's token is not in them.
@csrf_exempt
def console(request: HttpRequest, path: str = "") -> Any:
    """Answer a request to the console.

    A user who is signed in to Django and may see dead letters sees everything. Who may also replay,
    repair and discard them operates. All others are sent to Django's sign-in page.
    """
    from trackrelay.worker.console.wsgi_bridge import respond, scope_of

    user = _user(request)
    if user is None and not path.startswith("static/"):
        return redirect_to_login(request.get_full_path())
    prefix = request.path.removesuffix(path).rstrip("/")
    environ = dict(request.META) | {"wsgi.url_scheme": request.scheme}
    # Django has decoded the path; WSGI has its bytes in Latin-1.
    for name, text in (("SCRIPT_NAME", prefix), ("PATH_INFO", f"/{path}")):
        environ[name] = text.encode().decode("latin-1")
    scope = scope_of(environ) | {"trackrelay.user": user}
    answer = respond(_application(), scope, request.body)
    response = HttpResponse(answer.body, status=answer.status)
    del response["content-type"]
    for name, value in answer.headers:
        if name == "set-cookie":
            response.cookies.load(value)
        elif name != "content-length":
            response[name] = value
    return response


@lru_cache(maxsize=1)
def _application() -> Starlette:
    from trackrelay.worker.console.console_app import console_app

    return console_app(user=lambda scope: scope.get("trackrelay.user"), live_mode="poll")


def _user(request: HttpRequest) -> ConsoleUser | None:
    from trackrelay.configuration.console_values import ConsoleUser, Role

    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not user.has_perm(f"{_APP}.view_deadletter"):
        return None
    roles = {Role.VIEW, Role.VIEW_PAYLOADS}
    if user.has_perms(_OPERATING):
        roles.add(Role.OPERATE)
    return ConsoleUser(str(user.get_username()), frozenset(roles))

"""The views of the tests' project: what a shop does."""

from __future__ import annotations

import functools
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model, login, logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse

from trackrelay import Person, aio, track
from trackrelay.django import identify_visitor, visitor

from .shop.models import Order


def nothing(request: HttpRequest) -> HttpResponse:
    """Asks nobody who they are."""
    return HttpResponse("nothing")


def look(request: HttpRequest) -> HttpResponse:
    """A page anybody may look at."""
    return JsonResponse({"job": track(visitor(request), "looked")})


async def look_async(request: HttpRequest) -> HttpResponse:
    """The same, asynchronously."""
    await request.auser()
    return JsonResponse({"job": await aio.track(visitor(request), "looked")})


def sign_up(request: HttpRequest) -> HttpResponse:
    """The address becomes known."""
    email = request.GET["email"]
    return JsonResponse({"job": identify_visitor(request, Person(email=email), {"plan": "free"})})


def log_in(request: HttpRequest) -> HttpResponse:
    """Logs in whoever is named."""
    login(
        request,
        get_user_model().objects.get(username=request.GET["name"]),
        "django.contrib.auth.backends.ModelBackend",
    )
    return HttpResponse("in")


def log_out(request: HttpRequest) -> HttpResponse:
    """Logs out."""
    logout(request)
    return HttpResponse("out")


def check_out(request: HttpRequest) -> HttpResponse:
    """An order and five calls about it, in one transaction."""
    if request.GET.get("hook") == "raises":
        transaction.on_commit(_fail)
    with transaction.atomic():
        if request.GET.get("hook") == "tracks":
            transaction.on_commit(functools.partial(track, "42", "order_paid"))
        jobs = _order("A-1")
        if "fail" in request.GET:
            raise RuntimeError("the payment failed")
    return JsonResponse({"jobs": jobs})


async def check_out_async(request: HttpRequest) -> HttpResponse:
    """The same, asynchronously."""

    def order() -> list[str]:
        with transaction.atomic():
            return _order("A-2")

    return JsonResponse({"jobs": await sync_to_async(order)()})


def _fail() -> None:
    raise RuntimeError("a hook of another library failed")


def _order(number: str) -> list[Any]:
    Order.objects.create(number=number)
    return [track("42", "order_step", {"order": number, "step": step}) for step in range(5)]

"""The shop's settings. This example is about `TRACKRELAY`, at the end."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get(
    "SHOP_SECRET_KEY", "only for this example; a public shop has a secret key of its own"
)
DEBUG = os.environ.get("SHOP_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "shop",
    "trackrelay.django",  # enqueues
    "trackrelay.worker.django",  # manage.py trackrelay, and the admin of dead letters
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "trackrelay.django.middleware.VisitorMiddleware",  # gives anonymous visitors an id
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
    }


DATABASES = {
    "default": _database(os.environ["SHOP_DATABASE_URL"])
    if "SHOP_DATABASE_URL" in os.environ
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.sqlite3"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
STATIC_URL = "static/"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"trackrelay": {"handlers": ["console"]}},
}

# The environment has the addresses: TRACKRELAY_REDIS_URL, and TRACKRELAY_DATABASE_URL for the
# command line and the admin.
TRACKRELAY = {
    "SOURCE": "django-shop",
    # An operation is a row of the surrounding transaction: an order and its event exist together.
    "OUTBOX": True,
    # Identify people by the primary key, which never changes. An email address can change.
    "PERSON": "pk",
    "IDENTIFY_FIELDS": "shop.customers.attributes",
    "IDENTIFY_ON_LOGIN": True,
    # Keep operations that Customer.io would refuse as dead letters, instead of failing the page.
    "ON_INVALID": "dead_letter",
    # What the shop sends: calls are checked against it, and shop/plan_events.py is made of it.
    "PLAN": BASE_DIR / "trackrelay-plan.yaml",
}

"""A Django project with operators, on a road whose Customer.io refuses something; the tables are in a database of their own."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from tests.support import django_project
from tests.support.django_databases import django_template, shop_url
from tests.support.road import Road
from tests.worker.ops.dead_letters.conftest import SECRET, delivering, letter, refusing
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

__all__ = ["delivering", "django_template", "letter", "refusing", "shop_url"]


@pytest.fixture
def road(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Road]:
    """Servers that are set up, and no worker; four shards."""
    road = Road(worker_settings, sandbox.client)
    migrate(road.engine, road.redis, 4)
    yield road
    road.close()


@pytest.fixture
def project(road: Road, shop_url: str) -> Iterator[None]:
    """The project, its settings all in TRACKRELAY."""
    django_project.use("relay", road.settings["TRACKRELAY_DATABASE_URL"])
    told = {
        "REDIS_URL": road.settings["TRACKRELAY_REDIS_URL"],
        "DATABASE": "relay",
        "KEY_HASH_SECRET": SECRET,
        **{name: value for name, value in road.settings.items() if name.startswith("CUSTOMERIO_")},
    }
    with django_project.connected(**told):
        yield


@pytest.fixture
def log_in(project: None) -> Callable[..., Client]:
    """Logs somebody with some permissions in."""
    from django.contrib.auth.models import Permission, User  # late: Django is set up by now

    def client(*permissions: str, superuser: bool = False) -> Client:
        user = User.objects.create_user(
            "ada", "ada@example.com", "secret", is_staff=True, is_superuser=superuser
        )
        codenames = [f"{name}_deadletter" for name in permissions] + (
            ["view_waiting"] if permissions else []
        )
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return client


@pytest.fixture
def admin(log_in: Callable[..., Client]) -> Client:
    """Somebody who may do everything."""
    return log_in(superuser=True)

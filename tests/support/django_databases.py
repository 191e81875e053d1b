"""Fixtures: the databases of the tests' Django project, one of each kind for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import django_project
from tests.support.databases import create_database, fresh_database
from trackrelay.worker.devstack.servers import PostgresProcess

TEMPLATE = "django_tables"
_made: set[str] = set()


@pytest.fixture(scope="session")
def django_template(postgres_server: PostgresProcess) -> str:
    """The name of a database with Django's tables, to copy."""
    # The folders that use this fixture have one each, in the same run.
    if postgres_server.url not in _made:
        django_project.migrate("default", create_database(postgres_server, TEMPLATE))
        _made.add(postgres_server.url)
    return TEMPLATE


@pytest.fixture
def shop_url(postgres_server: PostgresProcess, django_template: str) -> Iterator[str]:
    """The project's database ``default``."""
    with fresh_database(postgres_server, django_template) as url:
        django_project.use("default", url)
        yield url


@pytest.fixture(scope="session")
def lite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with Django's tables, to copy."""
    folder = tmp_path_factory.mktemp("django")
    django_project.migrate("lite", django_project.sqlite_url(folder))
    return folder / "shop.sqlite3"


@pytest.fixture
def lite_url(lite_template: Path, tmp_path: Path) -> str:
    """The project's database ``lite``."""
    url = django_project.sqlite_url(tmp_path)
    shutil.copy(lite_template, tmp_path)
    django_project.use("lite", url)
    return url

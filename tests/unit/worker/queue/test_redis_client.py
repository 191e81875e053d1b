"""The URL of the queue's Redis as Celery needs it."""

import ssl

import pytest
import redis
from kombu import Connection

from trackrelay.worker.queue.redis_client import broker_url_of


@pytest.mark.parametrize("query", ["", "?db=2", "?ssl_ca_certs=/etc/ca.pem", "?protocol=2"])
def test_celery_verifies_the_certificate_of_a_redis_with_tls(query: str) -> None:
    options = Connection(broker_url_of(f"rediss://:secret@host:6380/0{query}")).ssl
    assert options["ssl_cert_reqs"] is ssl.CERT_REQUIRED
    assert options.get("ssl_ca_certs") == ("/etc/ca.pem" if "ca.pem" in query else None)


def test_celery_does_not_verify_where_the_setting_says_so() -> None:
    url = "rediss://host/0?ssl_cert_reqs=none"
    assert Connection(broker_url_of(url)).ssl["ssl_cert_reqs"] is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://h", "0"),
        ("redis://u:p%2F@h:1/2", "2"),
        ("redis://h/1?db=3&socket_timeout=5&health_check_interval=9", "3"),
    ],
)
def test_celery_takes_the_database_that_redis_py_takes(url: str, database: str) -> None:
    connection = Connection(broker_url_of(url))
    assert (connection.virtual_host, connection.hostname) == (database, "h")
    assert connection.password == ("p/" if "@" in url else None)


@pytest.mark.parametrize(
    "rest",
    [
        "h:1/?username=u&password=p%2F",
        "h:1/?password=a+b%40",
        "h:1/?password=p&db=3&ssl_check_hostname=false",
        "u%40@h:1/?password=p",
        ":p@h:1/?username=u",
        "u:p@h:1/?username=other&password=other",
        "h:1/",
    ],
)
def test_celery_logs_in_as_redis_py_does(rest: str) -> None:
    connection = Connection(broker_url_of(f"rediss://{rest}"))
    wanted = redis.Redis.from_url(f"rediss://{rest}").connection_pool.connection_kwargs
    found = (connection.userid or None, connection.password or None)
    assert found == (wanted.get("username"), wanted.get("password"))
    assert connection.hostname == "h"


def test_celery_has_the_login_of_a_socket_that_is_among_the_options() -> None:
    url = "unix:///run/r.sock?username=u&password=p%2F"
    assert broker_url_of(url) == "redis+socket://u:p%2F@/run/r.sock?virtual_host=0"


def test_celery_has_another_form_for_sockets_and_sentinels() -> None:
    assert broker_url_of("redis://host:6379/1") == "redis://host:6379/1"
    assert broker_url_of("unix:///run/r.sock?db=1") == "redis+socket:///run/r.sock?virtual_host=1"
    assert (
        broker_url_of("unix://:pw@/run/r.sock") == "redis+socket://:pw@/run/r.sock?virtual_host=0"
    )
    assert broker_url_of("sentinels://u:p@[::1]:1,b:2/m?db=3") == "sentinel://[::1]:1/3"

"""Every library reads a URL's password alike, and nothing shows it, whatever it contains."""

import random
import re
import string
from collections.abc import Callable
from urllib.parse import quote

import pytest
import redis
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from trackrelay.configuration import server_urls
from trackrelay.configuration.producer_settings import load
from trackrelay.errors import ConfigurationError
from trackrelay.queue.sentinel import sentinel_options, sentinel_pool

#: What breaks URLs, between letters by which a leak is found.
SPECIAL = "/#?@%:[]&;,+=!'\"\\ ()<>{}|^`~$*"


@st.composite
def passwords(draw: st.DrawFn) -> str:
    """A password of several recognisable pieces, with special characters between them."""
    seed = draw(st.integers(0, 2**32))
    source = random.Random(seed)
    pieces = ["".join(source.choices(string.ascii_letters + string.digits, k=8)) for _ in range(4)]
    between = [draw(st.text(SPECIAL, min_size=1, max_size=3)) for _ in range(3)]
    return "".join(piece + special for piece, special in zip(pieces, [*between, ""], strict=True))


def pieces(password: str) -> list[str]:
    """The parts of a password that must not be found anywhere."""
    return [piece for piece in re.split(r"[^A-Za-z0-9]+", password) if len(piece) == 8]


def shown(check: Callable[[str], str], url: str) -> str:
    """Return the errors about a URL, and its form in a debug page."""
    try:
        checked = check(url)
    except ValueError as error:
        return f"{error} {error!r}"
    return f"{checked!r} {server_urls.place(checked)}"


WHERE = [
    "host:6379/0",
    "host",
    "host:port/0",
    "host:99999/0",
    "[::1]:6379/1",
    "[::1/0",
    "ho st/0",
    "",
    "host/db?x=1",
    "a:1,b:2/name",
]
SCHEMES = [
    "redis",
    "rediss",
    "unix",
    "sentinel",
    "http",
    "postgres",
    "postgresql",
    "postgresql+psycopg",
    "mysql",
    "",
]


@given(
    passwords(),
    st.booleans(),
    st.sampled_from(SCHEMES),
    st.sampled_from(["", "app"]),
    st.sampled_from(WHERE),
)
def test_no_password_is_shown_of_any_url(
    password: str, encoded: bool, scheme: str, user: str, where: str
) -> None:
    url = f"{scheme}://{user}:{quote(password, safe='') if encoded else password}@{where}"

    for check in (server_urls.redis_url, server_urls.postgres_url, server_urls.outbox_url):
        seen = shown(check, url) + server_urls.place(url)
        assert not [piece for piece in pieces(password) if piece in seen], (url, seen)


@given(passwords(), st.booleans(), st.sampled_from(WHERE))
def test_no_password_is_shown_by_a_producer(password: str, encoded: bool, where: str) -> None:
    written = quote(password, safe="") if encoded else password
    seen = ""
    try:
        settings = load(
            {
                "redis_url": f"redis://:{written}@{where}",
                "outbox_url": f"postgresql://u:{written}@{where}",
            }
        )
        seen = f"{settings!r} {settings}"
    except ConfigurationError as error:
        seen = f"{error}"

    named = ("TRACKRELAY_REDIS_URL ", "TRACKRELAY_OUTBOX_URL ", "Settings(")
    assert all(line.startswith(named) for line in seen.splitlines())
    assert not [piece for piece in pieces(password) if piece in seen], seen


@given(passwords())
def test_an_encoded_password_arrives_at_every_library(password: str) -> None:
    url = server_urls.redis_url(f"redis://us%3Aer:{quote(password, safe='')}@host:6380/3")
    database = server_urls.postgres_url(
        f"postgres://us%3Aer:{quote(password, safe='')}@host:5433/db?sslmode=require"
    )

    pool = redis.ConnectionPool.from_url(url)
    told = parse_url(url)
    parsed = sa.make_url(database)
    assert pool.connection_kwargs["password"] == told["password"] == parsed.password == password
    assert pool.connection_kwargs["username"] == told["userid"] == parsed.username == "us:er"
    assert (pool.connection_kwargs["host"], pool.connection_kwargs["port"]) == ("host", 6380)
    assert (told["hostname"], told["port"], told["virtual_host"]) == ("host", 6380, "3")
    assert (parsed.host, parsed.port, parsed.database) == ("host", 5433, "db")
    assert dict(parsed.query) == {"sslmode": "require"}


@given(passwords())
def test_an_unencoded_password_arrives_or_the_error_names_the_setting(password: str) -> None:
    told = {
        "redis_url": f"redis://:{password}@host/0",
        "outbox_url": f"postgresql://u:{password}@host/db",
    }
    if re.search("[/?#]", password):
        with pytest.raises(ConfigurationError, match=r"(?s)REDIS_URL .*OUTBOX_URL ") as error:
            load(told)
        assert str(error.value).count("percent-encode '/', '?'") == 2
        return
    settings = load(told)
    assert settings.redis_url is not None
    assert settings.outbox_url is not None
    expected = sa.make_url(settings.outbox_url).password
    assert (
        redis.ConnectionPool.from_url(settings.redis_url).connection_kwargs["password"] == expected
    )
    if "%" not in password:
        assert expected == password


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (
            "redis://:a/b@host/0",
            "it has an '@' after the host: percent-encode '/', '?', '#' and '@'",
        ),
        ("redis://:a/b", "it has a port that is not a number"),
        ("redis://host:0/0", "it has a port that is not a number from 1 to 65535"),
        ("redis://host:65536", "it has a port that is not a number from 1 to 65535"),
        ("redis://:12/34", "it names a port and no host"),
        ("redis://secret@host", "it names a user and no password"),
        ("redis://host/cache", "it must have the number of a database after the host"),
        ("redis://host/0#x", "it has a '#'"),
        ("redis://ho st/0", "it names a host with a character that no host name has"),
        ("redis://:a\nb@host/0", "it holds a control character"),
        ("redis://:a\udcffb@host/0", "it holds a control character or bytes that are not UTF-8"),
        ("unix://run/redis.sock", "it must hold the path of the socket"),
        (
            "host:6379",
            "it must begin with redis://, rediss://, unix://, sentinel:// or sentinels://",
        ),
        ("http://host", "its scheme is 'http'"),
        ("redis://\u2100host/0", "it names a host with a character that no host name has"),
    ],
)
def test_errors_of_a_redis_url_are_reported(url: str, seen: str) -> None:
    with pytest.raises(ValueError, match=r"^it ") as error:
        server_urls.redis_url(url)
    assert seen in str(error.value)


@pytest.mark.parametrize(
    ("url", "hosts", "attrs"),
    [
        ("postgresql://u:p@a:5433,b/db", ("a:5433", "b:5432"), "read-write"),
        ("postgresql://u:p@a,[::1]:5433/db", ("a:5432", "[::1]:5433"), "read-write"),
        ("postgresql://u:p@/db?host=a:5432&host=b:5432", ("a:5432", "b:5432"), "read-write"),
        ("postgresql://u:p@a,b/db?target_session_attrs=any", ("a:5432", "b:5432"), "any"),
    ],
)
def test_of_several_hosts_of_a_database_one_that_accepts_writes_is_taken(
    url: str, hosts: tuple[str, ...], attrs: str
) -> None:
    for read in (server_urls.postgres_url, server_urls.outbox_url):
        parsed = sa.make_url(read(url))
        assert (parsed.username, parsed.password, parsed.database) == ("u", "p", "db")
        assert (parsed.query["host"], parsed.query["target_session_attrs"]) == (hosts, attrs)
        assert read(read(url)) == read(url)
        assert server_urls.place(read(url)) == f"{','.join(hosts)}/db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://a,/db", "one of them is empty"),
        ("postgresql://a,b/db?host=c", "it names hosts twice"),
        ("postgresql://a,b:no/db", "it has a port that is not a number"),
        ("postgresql://a,b;c/db", "it names a host with a character that no host name has"),
    ],
)
def test_errors_of_several_hosts_are_reported(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^it ") as error:
        server_urls.postgres_url(url)
    assert said in str(error.value)


@given(passwords(), passwords())
def test_a_sentinel_url_holds_the_logins_of_both(password: str, other: str) -> None:
    own, theirs = quote(password, safe=""), quote(other, safe="")
    url = server_urls.redis_url(
        f"sentinels://us%3Aer:{own}@a:26380,b,[::1]:26381/my%2Dmaster"
        f"?db=3&sentinel_user=watch&sentinel_password={theirs}&ssl_ca_certs=%2Fetc%2Fca.pem"
    )
    address = server_urls.sentinel_address(url)
    pool = sentinel_pool(url, 1.0, {"socket_timeout": 2.0})
    options, watch = pool.connection_kwargs, sentinel_options(address, 1.0)

    assert address.sentinels == (("a", 26380), ("b", 26379), ("::1", 26381))
    assert (address.service, address.uses_tls) == ("my-master", True)
    assert (options["username"], options["password"], options["db"]) == ("us:er", password, 3)
    assert (watch["username"], watch["password"]) == ("watch", other)
    assert options["ssl_ca_certs"] == watch["ssl_ca_certs"] == "/etc/ca.pem"
    assert issubclass(pool.connection_class, redis.SSLConnection)
    assert server_urls.place(url) == "a:26380,b,[::1]:26381/my-master"
    assert not [piece for piece in pieces(password + other) if piece in f"{url!r} {address!r}"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sentinel://a,b", "it must have the name under which the Sentinels watch the Redis"),
        ("sentinel://a,b/my/0", "it must have the name under which the Sentinels watch"),
        ("sentinel://a,,b/my", "it names no Sentinel"),
        ("sentinel:///my", "it names no Sentinel"),
        ("sentinel://a/my?db=x", "it must have the number of a database"),
        ("sentinel://u@a/my", "it names a user and no password"),
        ("sentinel://a:b,c/my", "it has a port that is not a number"),
        ("redis://a,b:6379/0", "Redis Cluster is not supported"),
    ],
)
def test_errors_of_a_sentinel_url_are_reported(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^it ") as error:
        server_urls.redis_url(url)
    assert said in str(error.value)


@pytest.mark.parametrize("url", ["sqlite:////tmp/an@odd#name.db", "sqlite+pysqlite:///app.db"])
def test_a_file_is_no_server_and_may_have_any_name(url: str) -> None:
    assert server_urls.outbox_url(url) == url

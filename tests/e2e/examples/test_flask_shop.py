"""The Flask example: what a customer does in the shop, and what Customer.io knows of it."""

from __future__ import annotations

import http.cookiejar
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient

from examples.flask_app import orders, shop
from examples.flask_app.campaigns import CAMPAIGNS
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay import Person, Producer, default, identify
from trackrelay.configuration import settings_loader
from trackrelay.sandbox.client import SandboxClient
from trackrelay.testing import Captured, capture
from trackrelay.worker.testing import DeliveringSandbox

ADA = {"name": "Ada", "email": "Ada@example.com", "wants_news": "on"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[flask.Flask]:
    app = shop.create_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'shop.db'}", TESTING=True)
    yield app
    with app.app_context():
        shop.db.engine.dispose()
    default.produce_with(Producer)
    settings_loader.set_framework_settings(lambda _: {})


@pytest.fixture
def client(app: flask.Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


def sign_up(client: FlaskClient, **different: str) -> str:
    """A new customer's id."""
    assert client.post("/sign-up", data=ADA | different).status_code == 302
    with client.session_transaction() as session:
        return str(session["account"])


def buy(client: FlaskClient, *skus: str) -> None:
    for sku in skus:
        client.post(f"/cart/{sku}")
    assert client.post("/checkout").status_code == 302


def test_what_a_visitor_looked_at_is_theirs_once_they_sign_up(
    client: FlaskClient, captured: Captured
) -> None:
    client.get("/")
    client.get("/products/pot")
    cookie = client.get_cookie("trackrelay_anonymous_id")
    assert cookie is not None
    account = sign_up(client)
    captured.assert_tracked(
        Person(anonymous_id=cookie.value), "product_viewed", sku="pot", price=39
    )
    captured.assert_joined(account, cookie.value)
    captured.assert_identified(account, email="ada@example.com", name="Ada", unsubscribed=False)
    captured.assert_tracked(account, "signed_up")


def test_an_order_goes_with_what_changes_about_the_customer(
    client: FlaskClient, captured: Captured
) -> None:
    account = sign_up(client)
    buy(client, "mug", "tea")
    buy(client, "pot")
    captured.assert_tracked(account, "order_completed", {"skus": ["mug", "tea"]}, total=21.4)
    captured.assert_identified(account, orders_count=1, lifetime_value=21.4)
    captured.assert_identified(account, orders_count=2, lifetime_value=60.4)
    captured.assert_enqueued("person.event", account, {"skus": ["pot"]}, times=1)


def test_a_sign_up_that_is_refused_tells_nothing(client: FlaskClient, captured: Captured) -> None:
    sign_up(client)
    captured.clear()
    assert client.post("/sign-up", data=ADA).status_code == 409
    captured.assert_nothing_enqueued()


@pytest.mark.parametrize("path", ["/checkout", "/profile", "/account/delete"])
def test_users_who_are_not_logged_in_are_redirected(
    client: FlaskClient, captured: Captured, path: str
) -> None:
    assert client.post(path).status_code == 401
    captured.assert_nothing_enqueued()


def test_customerio_knows_the_customer_as_the_shop_does(app: flask.Flask) -> None:
    customer_io = DeliveringSandbox()
    with capture(deliver_to=customer_io):
        client = app.test_client()
        client.get("/products/mug")
        account = sign_up(client)
        buy(client, "mug")
        client.post("/profile", data={"name": "Ada L."})
        client.post("/log-out")
        client.get("/products/tea")
        known = customer_io.person(f"id:{account}")
        assert known is not None
        assert [event["name"] for event in known["events"]] == [
            "product_viewed",
            "signed_up",
            "product_added",
            "order_completed",
        ]
        told = {"name": "Ada L.", "unsubscribed": True, "orders_count": 1, "lifetime_value": 12.5}
        assert known["attributes"] | told == known["attributes"]
        client.post("/log-in", data={"email": "ada@example.com"})
        client.post("/account/delete")
    assert customer_io.person(f"id:{account}") is None
    assert customer_io.person("email:ada@example.com") is None


@pytest.fixture
def box() -> DeliveringSandbox:
    """A sandbox with the shop's campaigns."""
    box = DeliveringSandbox()
    for name, campaign in CAMPAIGNS.items():
        box.define_campaign(name, **campaign)
    return box


def leave_a_cart(phone: FlaskClient) -> None:
    phone.post("/cart/pot")
    assert phone.post("/checkout/start", data={"email": ADA["email"]}).status_code == 302


def test_a_purchase_on_another_device_stops_the_reminder_and_starts_the_upsell(
    app: flask.Flask, box: DeliveringSandbox
) -> None:
    phone, desktop = app.test_client(), app.test_client()
    with capture(deliver_to=box):
        leave_a_cart(phone)
        box.assert_would_send("abandoned_cart", Person(email="ada@example.com"), times=1)
        account = sign_up(desktop)
        buy(desktop, "tea")
    box.advance("2d")
    box.assert_would_not_send("abandoned_cart", account)
    box.assert_would_send("tea_pot_upsell", account, times=1)


def test_the_rehearsal_fails_without_the_join(
    app: flask.Flask, box: DeliveringSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "identify_visitor", lambda person, through: identify(person))
    with pytest.raises(AssertionError, match="whom no identify has joined to a person"):
        test_a_purchase_on_another_device_stops_the_reminder_and_starts_the_upsell(app, box)


def test_a_person_who_signs_up_again_after_leaving_is_new(
    client: FlaskClient, captured: Captured
) -> None:
    first = sign_up(client)
    client.post("/account/delete")
    second = sign_up(client)
    captured.assert_enqueued("person.suppress", first, times=1)
    assert second != first


def test_pages_show_what_they_should(client: FlaskClient, captured: Captured) -> None:
    assert "Green tea" in client.get("/").text
    assert client.get("/products/nothing").status_code == 404
    assert "Nothing yet" in client.get("/cart").text
    assert "Sign up" in client.get("/account").text
    account = sign_up(client)
    client.post("/cart/mug")
    assert "12.50" in client.get("/cart").text
    client.post("/checkout")
    page = client.get("/account").text
    assert "1 orders, 12.50 €" in page
    assert account in page


class Browser:
    """A visitor with cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def get(self, path: str) -> str:
        return self._opener.open(self.url + path, timeout=30).read().decode()  # type: ignore[no-any-return]

    def post(self, path: str, **fields: str) -> str:
        data = urllib.parse.urlencode(fields).encode()
        return self._opener.open(self.url + path, data, timeout=30).read().decode()  # type: ignore[no-any-return]


@pytest.fixture
def running() -> Iterator[tuple[Browser, SandboxClient]]:
    """The example as its README starts it, once everything is installed."""
    command = [sys.executable, "-m", "examples.flask_app", "--port", "0"]
    process = subprocess.Popen(
        command, env=clean_environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    output = ""
    for line in process.stdout:
        output += line
        if "Ctrl-C" in line:
            break
    else:
        pytest.fail(output)
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", output)
    yield Browser(addresses[0]), SandboxClient(addresses[1])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=patient(60))
    assert process.returncode == 0


def test_with_everything_around_it_the_same_arrives(running: tuple[Browser, SandboxClient]) -> None:
    browser, customer_io = running
    browser.get("/products/mug")
    page = browser.post("/sign-up", **ADA)
    (account,) = re.findall(r"<code>(\w+)</code>", page)
    browser.post("/cart/mug")
    browser.post("/checkout")

    def names() -> list[str]:
        person = customer_io.person(f"id:{account}") or {"events": []}
        return [event["name"] for event in person["events"]]

    wait_until(
        lambda: names() == ["product_viewed", "signed_up", "product_added", "order_completed"], 30
    )
    assert (customer_io.person(f"id:{account}") or {})["attributes"]["orders_count"] == 1
    browser.post("/account/delete")
    wait_until(lambda: customer_io.person(f"id:{account}") is None, 30)


def test_its_readme_says_how_to_start_it() -> None:
    command = ROOT / "examples/flask_app/run"
    assert "examples/flask_app/run" in (command.parent / "README.md").read_text()
    assert command.stat().st_mode & 0o111

"""Clean traffic of a streaming service with a marketplace, sent by four applications."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.retention_traffic import NOW, Call

_PRODUCTS = ["1042", "2077", "31337", "mug-07", "poster-xl", "40010", "vinyl-3"]
_ARTICLES = ["00412", "00077", "10231", "04400"]
_CATEGORIES = ["vinyl", "posters", "mugs", "apparel"]
_BRANDS = ["Nordlicht", "Café Noir", "Blue Fjord"]
_CURRENCIES = ["EUR", "EUR", "USD", "GBP", "JPY", "CHF"]
_GENRES = ["drama", "comedy", "crime", "documentary", "sci-fi", "kids"]
_PLANS = [("basic", "Basic"), ("family", "Family"), ("uhd", "Ultra HD")]
_COUNTRIES = ["DE", "FR", "US", "GB", "JP", "CH"]
_ZONES = ["Europe/Berlin", "Europe/Paris", "America/New_York", "Asia/Tokyo"]
_DAY = 86_400
#: Where in the traffic new things are rolled out, by all their senders at once.
DISCOUNT_FROM, WATCH_PARTY_FROM, GIFT_CARD_FROM = 0.353, 0.517, 0.611

Attributes = dict[str, Any]


class Visit:
    """What the makers of calls draw from.

    Args:
        seed: makes the draws repeatable.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        #: How much of the traffic has passed, from 0 to 1.
        self.passed = 0.0

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def number(self, digits: int) -> str:
        return str(self.random.randrange(10 ** (digits - 1), 10**digits))

    def money(self) -> float | int:
        """Return an amount; JSON writes a whole one of some senders as an integer."""
        cents = self.random.choice([499, 999, 1250, 1999, 2000, 3450, 12000])
        return cents // 100 if cents % 100 == 0 else cents / 100

    def earlier(self, days: int) -> int:
        return int(NOW) - self.random.randrange(60, days * _DAY)

    def item(self) -> Attributes:
        item: Attributes = {
            "product_id": self.random.choice(_PRODUCTS),
            "article_number": self.random.choice(_ARTICLES),
            "category": self.random.choice(_CATEGORIES),
            "price": self.money(),
            "quantity": self.random.choice([1, 1, 1, 2, 5]),
        }
        if self.chance(0.3):
            item["variant"] = self.random.choice(["black", "L", ""])
        return item

    def items(self) -> list[Attributes]:
        return [self.item() for _ in range(self.random.choice([1, 1, 2, 3, 8]))]

    def discount(self) -> Attributes:
        """Return what has been sent with carts and orders since it was rolled out."""
        if self.passed < DISCOUNT_FROM:
            return {}
        return {"discount_code": self.random.choice([None, None, "SPRING", "WELCOME10"])}

    def client(self, source: str) -> Attributes:
        """Return what only one of the two kinds of clients can know."""
        if source == "web":
            found: Attributes = {"page_url": "https://stream.example/shop", "referrer": ""}
            if self.chance(0.2):
                found["utm_campaign"] = "spring"
            return found
        return {
            "app_version": self.random.choice(["5.1.0", "5.2.0"]),
            "os": self.random.choice(["ios", "android"]),
            "push_enabled": self.random.choice([True, True, False, None]),
        }


def _product(visit: Visit, source: str) -> Attributes:
    return {
        "product_id": visit.random.choice(_PRODUCTS),
        "article_number": visit.random.choice(_ARTICLES),
        "category": visit.random.choice(_CATEGORIES),
        "brand": visit.random.choice(_BRANDS),
        "price": visit.money(),
        "currency": visit.random.choice(_CURRENCIES),
        **visit.client(source),
    }


def _product_viewed(visit: Visit, source: str) -> Attributes:
    found = _product(visit, source)
    if visit.chance(0.25):
        found["rating"] = visit.random.choice([4, 4.5, 3.8, 5])
    return found


def _added_to_cart(visit: Visit, source: str) -> Attributes:
    return {**_product(visit, source), "quantity": 1, "cart_id": "c-" + visit.number(7)}


def _checkout_started(visit: Visit, source: str) -> Attributes:
    items = visit.items()
    return {
        "cart_id": "c-" + visit.number(7),
        "cart_value": visit.money(),
        "currency": visit.random.choice(_CURRENCIES),
        "product_ids": [each["product_id"] for each in items],
        "items": items,
        "anonymous_id": "a-" + visit.number(9),
        **visit.discount(),
        **visit.client(source),
    }


def _title(visit: Visit) -> Attributes:
    film = visit.chance(0.4)
    genres = visit.random.sample(_GENRES, visit.random.choice([1, 2, 3]))
    return {
        "title_id": visit.number(6),
        "title": visit.random.choice(["Nachtzug", "1984", "Der Fall", "L'été"]),
        # The one that the shelf shows, and all of them.
        "genre": genres[0],
        "genres": genres,
        "season": None if film else visit.random.randrange(1, 9),
        "episode": None if film else visit.random.randrange(1, 20),
    }


def _title_viewed(visit: Visit, source: str) -> Attributes:
    return {**_title(visit), **visit.client(source)}


def _playback(visit: Visit, source: str) -> Attributes:
    found = {
        **_title(visit),
        "position_s": visit.random.choice([0, 12, 61.5, 1800.25]),
        "duration_s": visit.random.choice([1320, 2710, 5400]),
        "quality": visit.random.choice(["sd", "hd", "uhd"]),
        "subtitles": visit.random.choice([[], ["de"], ["de", "en"]]),
        **visit.client(source),
    }
    if visit.passed >= WATCH_PARTY_FROM:
        found["watch_party"] = visit.random.choice([True, False, None])
    if source == "mobile":
        found["offline"] = visit.chance(0.1)
    return found


def _search(visit: Visit, source: str) -> Attributes:
    filters: Attributes = {"kind": visit.random.choice(["film", "series", "product"])}
    if visit.chance(0.3):
        filters["year"] = visit.random.randrange(1960, 2026)
    return {
        "query": visit.random.choice(["nacht", "", "7", "blue"]),
        "results": visit.random.randrange(40),
        "filters": filters,
        **visit.client(source),
    }


def _watchlist(visit: Visit, source: str) -> Attributes:
    return {"title_id": visit.number(6), "genre": visit.random.choice(_GENRES)}


def _review(visit: Visit, source: str) -> Attributes:
    return {
        "product_id": visit.random.choice(_PRODUCTS),
        "stars": visit.random.randrange(1, 6),
        "comment": visit.random.choice(["", "Great", None, "10/10"]),
    }


def _signup_started(visit: Visit, source: str) -> Attributes:
    found = {
        "anonymous_id": "a-" + visit.number(9),
        "method": visit.random.choice(["email", "sso"]),
    }
    return {**found, **visit.client(source)}


def _app_opened(visit: Visit, source: str) -> Attributes:
    return {"cold_start": visit.chance(0.5), **visit.client(source)}


def _signed_up(visit: Visit, source: str) -> Attributes:
    return {
        "customer_id": visit.number(8),
        "anonymous_id": "a-" + visit.number(9),
        "country": visit.random.choice(_COUNTRIES),
        "referred_by": visit.random.choice([None, None, "friend"]),
    }


def _order_completed(visit: Visit, source: str) -> Attributes:
    items = visit.items()
    found: Attributes = {
        "order_id": visit.number(9),
        "customer_id": visit.number(8),
        "order_total": visit.money(),
        "shipping": visit.random.choice([0, 4.9]),
        "currency": visit.random.choice(_CURRENCIES),
        "items": items,
        # How many, beside what they are.
        "item_count": len(items),
        "product_ids": [each["product_id"] for each in items],
        "payment_method": visit.random.choice(["card", "paypal", "invoice"]),
        "gift": visit.chance(0.1),
        **visit.discount(),
    }
    if visit.chance(0.1):
        found["vat_id"] = visit.random.choice(["DE811", "", None])
    return found


def _order_shipped(visit: Visit, source: str) -> Attributes:
    found = {"order_id": visit.number(9), "carrier": visit.random.choice(["dhl", "ups"])}
    if visit.chance(0.8):
        found["tracking_number"] = visit.number(12)
    return found


def _refund_created(visit: Visit, source: str) -> Attributes:
    return {
        "refund_id": "r-" + visit.number(6),
        "order_id": visit.number(9),
        "amount": visit.money(),
        "currency": visit.random.choice(_CURRENCIES),
        "reason": visit.random.choice(["broken", "late", "", None]),
    }


def _subscription(visit: Visit) -> Attributes:
    plan_id, plan_name = visit.random.choice(_PLANS)
    return {"subscription_id": visit.number(8), "plan_id": plan_id, "plan_name": plan_name}


def _subscription_created(visit: Visit, source: str) -> Attributes:
    return {
        **_subscription(visit),
        "interval": visit.random.choice(["month", "year"]),
        "price": visit.money(),
        "currency": visit.random.choice(_CURRENCIES),
        "trial_ends_at": visit.random.choice([None, int(NOW) + 14 * _DAY]),
    }


def _subscription_renewed(visit: Visit, source: str) -> Attributes:
    return {**_subscription(visit), "price": visit.money(), "currency": "EUR"}


def _subscription_cancelled(visit: Visit, source: str) -> Attributes:
    reason = visit.random.choice(["price", "content", None])
    return {**_subscription(visit), "reason": reason, "ends_at": int(NOW) + 9 * _DAY}


def _payment_failed(visit: Visit, source: str) -> Attributes:
    return {
        **_subscription(visit),
        "attempt": visit.random.randrange(1, 5),
        "decline_code": visit.random.choice(["do_not_honor", "51", "05"]),
        "amount": visit.money(),
        "currency": visit.random.choice(_CURRENCIES),
    }


def _gift_card_redeemed(visit: Visit, source: str) -> Attributes:
    return {"gift_card_id": visit.number(10), "amount": visit.money(), "currency": "EUR"}


def _email_opened(visit: Visit, source: str) -> Attributes:
    return {"campaign_id": visit.number(4), "campaign": visit.random.choice(["spring", "2026-05"])}


def _email_clicked(visit: Visit, source: str) -> Attributes:
    found = _email_opened(visit, source)
    found["links"] = ["https://stream.example/a"] * visit.random.choice([1, 2])
    return {**found, "link": found["links"][0]}


def _ticket_closed(visit: Visit, source: str) -> Attributes:
    found = {"ticket_id": visit.number(6), "topic": visit.random.choice(["billing", "playback"])}
    return {**found, "score": visit.random.choice([None, 1, 5])}


def _person_created(visit: Visit, source: str) -> Attributes:
    found: Attributes = {
        "email": f"p{visit.number(6)}@example.com",
        "phone": visit.random.choice([None, "+49301234", "+4312345"]),
        "first_name": visit.random.choice(["Ada", "Zoë", "", None]),
        "created_at": visit.earlier(900),
        "accepts_marketing": visit.chance(0.6),
        "country": visit.random.choice(_COUNTRIES),
        "timezone": visit.random.choice(_ZONES),
        "language": visit.random.choice(["de", "fr", "en", "ja"]),
    }
    return {**found, **_person_ordered(visit, source), **_person_subscribed(visit, source)}


def _person_ordered(visit: Visit, source: str) -> Attributes:
    orders = visit.random.choice([0, 1, 3, 12])
    return {
        "last_order_at": visit.earlier(300) if orders else None,
        "orders_count": orders,
        "lifetime_value": visit.money() if orders else 0,
    }


def _person_subscribed(visit: Visit, source: str) -> Attributes:
    status = visit.random.choice(["active", "trial"])
    return {"plan_id": visit.random.choice(_PLANS)[0], "subscription_status": status}


def _person_consented(visit: Visit, source: str) -> Attributes:
    return {"accepts_marketing": visit.chance(0.5), "consent_at": visit.earlier(3)}


def _person_online(visit: Visit, source: str) -> Attributes:
    if source == "web":
        return {"last_browser": visit.random.choice(["firefox", "safari"]), "web_visits": 3}
    return {"device_model": visit.random.choice(["iPhone 15", "Pixel 8"]), "push_opt_in": True}


def _person_supported(visit: Visit, source: str) -> Attributes:
    found: Attributes = {"support_tier": visit.random.choice(["gold", "none"])}
    if visit.chance(0.3):
        found["nps"] = visit.random.choice([None, 3, 9, 10])
    return found


_Maker = Callable[[Visit, str], Attributes]

#: How often, who sends it (each as often as it is listed), the event's name, and its attributes.
#: Calls without a name describe a person.
_KINDS: list[tuple[int, list[str], str, _Maker]] = [
    (14, ["web", "mobile"], "product_viewed", _product_viewed),
    (7, ["web", "mobile"], "added_to_cart", _added_to_cart),
    (5, ["web", "mobile"], "checkout_started", _checkout_started),
    (8, ["web", "mobile"], "title_viewed", _title_viewed),
    (9, ["web", "mobile", "mobile"], "playback_started", _playback),
    (6, ["web", "mobile", "mobile"], "playback_completed", _playback),
    (4, ["web", "mobile"], "search_performed", _search),
    (2, ["web", "mobile"], "watchlist_added", _watchlist),
    (1, ["web", "mobile"], "watchlist_removed", _watchlist),
    (1, ["web", "mobile"], "review_submitted", _review),
    (2, ["web", "mobile"], "signup_started", _signup_started),
    (4, ["mobile"], "app_opened", _app_opened),
    (2, ["backend"], "signed_up", _signed_up),
    (5, ["backend"], "order_completed", _order_completed),
    (3, ["backend"], "order_shipped", _order_shipped),
    (2, ["backend"], "refund_created", _refund_created),
    (2, ["backend"], "subscription_created", _subscription_created),
    (3, ["backend"], "subscription_renewed", _subscription_renewed),
    (2, ["backend"], "subscription_cancelled", _subscription_cancelled),
    (1, ["backend"], "payment_failed", _payment_failed),
    (1, ["backend"], "gift_card_redeemed", _gift_card_redeemed),
    (5, ["crm-sync"], "email_opened", _email_opened),
    (2, ["crm-sync"], "email_clicked", _email_clicked),
    (1, ["crm-sync"], "ticket_closed", _ticket_closed),
    (4, ["backend"], "", _person_created),
    (5, ["backend"], "", _person_ordered),
    (2, ["backend"], "", _person_subscribed),
    (1, ["backend"], "", _person_consented),
    (3, ["web", "mobile"], "", _person_online),
    (2, ["crm-sync"], "", _person_supported),
]


def _late(visit: Visit, source: str, name: str) -> float:
    """Return how late a call is: seconds after a hiccup, hours for a film watched on a plane."""
    if source == "mobile" and name.startswith("playback") and visit.chance(0.003):
        return visit.random.uniform(600, 20_000)
    if visit.chance(0.004):
        return visit.random.uniform(3, 40)
    return visit.random.uniform(0.1, 2)


def clean(count: int, seed: int) -> Iterator[Call]:
    """Yield calls that nobody has to be angry about."""
    visit = Visit(seed)
    weights = [weight for weight, *_ in _KINDS]
    for number in range(count):
        visit.passed = number / count
        _, sources, name, maker = visit.random.choices(_KINDS, weights)[0]
        if name == "gift_card_redeemed" and visit.passed < GIFT_CARD_FROM:
            name, maker = "order_completed", _order_completed
        source = visit.random.choice(sources)
        operation = "person.event" if name else "person.identify"
        late_s = _late(visit, source, name)
        yield Call(source, operation, name, maker(visit, source), late_s=late_s)

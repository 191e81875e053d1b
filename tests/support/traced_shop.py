"""A Flask application of one page, whose request enqueues two jobs."""

import flask

from trackrelay import identify, track

app = flask.Flask(__name__)


@app.get("/checkout/<person>")
def checkout(person: str) -> str:
    """Place an order."""
    identify(person, {"plan": "canary-plan"})
    return track(person, "order_completed", {"order_id": "canary-order", "total": 42.5})

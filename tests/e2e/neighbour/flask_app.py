"""Another Flask application with Flask-Migrate, on the same Postgres."""

import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from trackrelay.alembic import include_object

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["NEIGHBOUR_DATABASE_URL"]
db = SQLAlchemy(app)
# As docs/how-to/flask.md advises, or without that advice.
filtered = {"include_object": include_object} if os.environ["NEIGHBOUR_FILTERS"] == "1" else {}
Migrate(app, db, directory=os.environ["NEIGHBOUR_MIGRATIONS"], **filtered)


class Order(db.Model):  # type: ignore[name-defined,misc]
    """A table of theirs."""

    id = db.Column(db.Integer, primary_key=True)

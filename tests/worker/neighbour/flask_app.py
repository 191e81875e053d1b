"""Somebody else's Flask application with Flask-Migrate, on the same Postgres."""

import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["NEIGHBOUR_DATABASE_URL"]
db = SQLAlchemy(app)
Migrate(app, db, directory=os.environ["NEIGHBOUR_MIGRATIONS"])


class Order(db.Model):  # type: ignore[name-defined,misc]
    """A table of theirs."""

    id = db.Column(db.Integer, primary_key=True)

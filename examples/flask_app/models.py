"""Accounts and orders."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .shop import db


def _new_id() -> str:
    # The permanent id of a customer at Customer.io. Not the row's number: a number can be used
    # again after a deletion, and the next customer would inherit the suppression.
    return uuid4().hex


class Account(db.Model):  # type: ignore[name-defined,misc]
    """A customer."""

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True, default=_new_id)
    email: Mapped[str] = mapped_column(sa.String(200), unique=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    wants_news: Mapped[bool] = mapped_column(default=False)
    orders: Mapped[list[Order]] = relationship(
        back_populates="account", cascade="all, delete-orphan"
    )

    @property
    def lifetime_value(self) -> Decimal:
        """The total of all orders."""
        return sum((order.total for order in self.orders), Decimal(0))


class Order(db.Model):  # type: ignore[name-defined,misc]
    """An order."""

    number: Mapped[str] = mapped_column(sa.String(32), primary_key=True, default=_new_id)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id))
    account: Mapped[Account] = relationship(back_populates="orders")
    total: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    placed_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))

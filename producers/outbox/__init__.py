"""The outbox: jobs written in the application's own database transaction.

They are committed or rolled back with it.

It needs SQLAlchemy: ``pip install 'trackrelay[outbox]'``, if the application does not have it::

    with Session(engine) as session, session.begin():
        session.add(order)
        Outbox(session).track("42", "order_completed", {"order_id": order.number})

The application's migrations create the table: add ``metadata`` to Alembic's ``target_metadata``. A
relay moves the rows into the queue: a worker where ``TRACKRELAY_OUTBOX_URL`` is set, or
``trackrelay relay``.
"""

try:
    import sqlalchemy  # noqa: F401 - to name the extra if it is missing
except ModuleNotFoundError as error:
    if error.name != "sqlalchemy":
        raise
    message = "trackrelay.outbox needs SQLAlchemy: pip install 'trackrelay[outbox]'"
    raise ModuleNotFoundError(message, name="sqlalchemy") from None

from .outbox_writer import Outbox
from .table import create_table, metadata, table

__all__ = ["Outbox", "create_table", "metadata", "table"]

"""The outbox: jobs written in the application's own database transaction. They commit with it, or never existed.

Needs SQLAlchemy, which an application that uses this has (``pip install 'trackrelay[outbox]'`` otherwise)::

    with Session(engine) as session, session.begin():
        session.add(order)
        Outbox(session).track("42", "order_completed", {"order_id": order.number})

The table is made by the application's own migrations: ``metadata`` goes beside its own as Alembic's ``target_metadata``. A relay
(the worker where ``TRACKRELAY_OUTBOX_URL`` is set, or ``trackrelay relay``) takes the rows on into the queue.
"""

try:
    import sqlalchemy  # noqa: F401 - said in our words if it is missing
except ModuleNotFoundError as error:
    if error.name != "sqlalchemy":
        raise
    message = "trackrelay.outbox needs SQLAlchemy: pip install 'trackrelay[outbox]'"
    raise ModuleNotFoundError(message, name="sqlalchemy") from None

from .outbox_writer import Outbox
from .table import create_table, metadata, table

__all__ = ["Outbox", "create_table", "metadata", "table"]

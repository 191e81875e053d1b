"""Columns of stored jobs: how one column is declared, written, read and created.

A table's specification is a list of :class:`Column` (see :mod:`.tables`). From it follow the
SQLAlchemy table, the ``INSERT … SELECT … FROM unnest(…)`` and its arrays, the ``SELECT`` list, and
the values that a loaded row becomes. A new column is one line there and a migration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from .pg_values import bool_array, number_array, sanitize_text, sanitized_json, text_array

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """How values of one type travel between Python and Postgres."""

    sql: sa.types.TypeEngine[Any]
    #: The type of the elements that ``unnest`` takes.
    element: str
    #: Write the values of all rows as one array.
    array: Callable[[Iterable[Any]], Any]
    #: SQL that turns such an element into the column's value.
    write: str = "{}"
    #: SQL that reads the column's value, and the function that makes a Python value of it.
    read: str = "{}"
    load: Callable[[Any], Any] | None = None
    #: Whether an update appends to the value, and does not replace it.
    appends: bool = False


def _text_arrays(rows: Iterable[Sequence[str]]) -> str:
    return text_array([text_array(values) for values in rows])


def _number_arrays(rows: Iterable[Sequence[int]]) -> str:
    return text_array([number_array(values) for values in rows])


def _documents(bodies: Iterable[bytes | None]) -> str:
    return text_array([None if body is None else body.decode() for body in bodies])


def _clean_texts(texts: Iterable[str | None]) -> str:
    return text_array([sanitize_text(text) for text in texts])


def _json_texts(values: Iterable[Any]) -> str:
    return text_array([sanitized_json(value) for value in values])


def _moments_or_none(moments: Iterable[float]) -> str:
    return number_array([moment or None for moment in moments])


def _loaded_document(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _loaded_bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


TEXT = ColumnType(sql=sa.Text(), element="text", array=text_array)
#: Text from outside that may contain what Postgres refuses.
UNCHECKED_TEXT = replace(TEXT, array=_clean_texts)
JOB_ID = replace(TEXT, sql=sa.String(26, collation="C"))
SMALLINT = ColumnType(sql=sa.SmallInteger(), element="int", array=number_array)
INTEGER = replace(SMALLINT, sql=sa.Integer())
BIGINT = ColumnType(sql=sa.BigInteger(), element="bigint", array=number_array)
BOOLEAN = ColumnType(sql=sa.Boolean(), element="bool", array=bool_array)
#: Unix seconds.
MOMENT = ColumnType(
    sql=sa.DateTime(timezone=True),
    element="float8",
    array=number_array,
    write="to_timestamp({})",
    read="CAST(extract(epoch FROM {}) AS float8)",
)
#: Unix seconds; 0 in Python is NULL in Postgres.
MOMENT_OR_ZERO = replace(
    MOMENT,
    array=_moments_or_none,
    read="coalesce(CAST(extract(epoch FROM {}) AS float8), 0)",
)
TEXTS = ColumnType(
    sql=ARRAY(sa.Text()),
    element="text",
    array=_text_arrays,
    write="CAST({} AS text[])",
    load=tuple,
)
INTEGERS = replace(TEXTS, sql=ARRAY(sa.Integer()), array=_number_arrays, write="CAST({} AS int[])")
#: JSON, byte by byte as it was enqueued.
DOCUMENT = ColumnType(
    sql=sa.JSON(none_as_null=True),
    element="text",
    array=_documents,
    write="CAST({} AS json)",
    read="CAST({} AS text)",
    load=_loaded_document,
)
#: What happened to a job, oldest first.
HISTORY = ColumnType(
    sql=JSONB(),
    element="text",
    array=_json_texts,
    write="CAST({} AS jsonb)",
    load=tuple,
    appends=True,
)
BYTES = ColumnType(sql=sa.LargeBinary(), element="bytea", array=list, load=_loaded_bytes)


def short_text(length: int) -> ColumnType:
    """Return the type of texts of at most ``length`` characters."""
    return replace(TEXT, sql=sa.String(length))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: ColumnType
    #: Where its value comes from when a row is written: an attribute, such as ``job.source``, or a
    #: name.
    value: str = ""
    #: SQL that is written instead. It may use the elements of the other columns.
    sql: str = ""
    #: The field of a loaded value that it becomes. Empty: it is not loaded.
    field: str = ""
    #: Whether a failed attempt changes it.
    changes: bool = False
    nullable: bool = False
    primary_key: bool = False
    default: str | None = None
    #: What it means, for the reference in the documentation.
    doc: str | None = None

    @property
    def written(self) -> str:
        """SQL for the column's value in a new row."""
        return self.sql or self.type.write.format(self.name)


class ColumnSet:
    """The columns of one table, and the statements and values that follow from them."""

    def __init__(self, table: str, doc: str, *columns: Column) -> None:
        self.name = table
        self.doc = doc
        self.columns = columns
        self._named = {column.name: column for column in columns}
        self._given = [column for column in columns if column.value]
        self._changing = [column for column in columns if column.changes]
        self._loaded = [column for column in columns if column.field]

    def table(self, metadata: sa.MetaData, *indexes: sa.Index) -> sa.Table:
        """Return the SQLAlchemy table."""
        columns = [
            sa.Column(
                column.name,
                column.type.sql,
                nullable=column.nullable,
                primary_key=column.primary_key,
                server_default=None if column.default is None else sa.text(column.default),
                doc=column.doc,
            )
            for column in self.columns
        ]
        return sa.Table(self.name, metadata, *columns, *indexes, info={"doc": self.doc})

    def insert(self, conditions: str = "", **sql: str) -> str:
        """Return the statement that inserts many rows, each column as one array.

        Args:
            conditions: SQL that follows, such as ``ON CONFLICT``; new rows are called ``row``.
            sql: SQL for the values of some columns in place of what their declaration says.
        """
        written = [
            column for column in self.columns if column.value or column.sql or column.name in sql
        ]
        values = (sql.get(column.name, column.written) for column in written)
        return (
            f"INSERT INTO {self.name} ({_joined(column.name for column in written)})\n"
            f"SELECT {_joined(values)}\n"
            f"FROM {self._unnested(self._given)}\n{conditions}"
        )

    def update(self, *identified_by: str, also: str = "") -> str:
        """Return the statement that changes many rows after an attempt.

        Args:
            identified_by: the columns that identify a row.
            also: further assignments, where ``stored`` is the table and ``row`` the new values.
        """
        given = self._updated(identified_by)
        assignments = [
            f"{column.name} = {_added(column) if column.type.appends else _new(column)}"
            for column in self._changing
        ]
        condition = " AND ".join(f"stored.{name} = row.{name}" for name in identified_by)
        return (
            f"UPDATE {self.name} AS stored SET {_joined(filter(None, [*assignments, also]))}\n"
            f"FROM {self._unnested(given)}\nWHERE {condition}"
        )

    def inserted(self, **values: Sequence[Any]) -> dict[str, Any]:
        """Return the parameters of :meth:`insert`: an array of each column's values.

        Args:
            values: for each name in the columns' ``value``, one object or value for each row.
        """
        return _arrays(self._given, values)

    def updated(self, *identified_by: str, **values: Sequence[Any]) -> dict[str, Any]:
        """Return the parameters of :meth:`update`."""
        return _arrays(self._updated(identified_by), values)

    @property
    def replacements(self) -> str:
        """The assignments of ``ON CONFLICT DO UPDATE SET`` that replace the stored values."""
        return _joined(
            f"{column.name} = excluded.{column.name}"
            for column in self._changing
            if not column.type.appends
        )

    @property
    def select_list(self) -> str:
        """The columns that are loaded, each under its own name."""
        return self.select(*(column.name for column in self._loaded))

    def select(self, *names: str, of: str = "") -> str:
        """Return a select list of some columns, each under its own name.

        Args:
            of: the name of the table in the statement, if it has one.
        """
        prefix = f"{of}." if of else ""
        read = {name: self._named[name].type.read.format(prefix + name) for name in names}
        return _joined(each if each == name else f"{each} AS {name}" for name, each in read.items())

    def read(self, row: Any, *names: str) -> dict[str, Any]:
        """Return the values of selected columns, by the fields that they become."""
        values = {}
        for name in names:
            column, value = self._named[name], getattr(row, name)
            values[column.field or name] = (
                value if column.type.load is None else column.type.load(value)
            )
        return values

    def loader(self, make: Callable[..., Loaded], *more: str) -> Callable[..., Loaded]:
        """Return a function that calls ``make`` with the fields of a selected row.

        Args:
            more: fields that are not columns. The function takes them after the row.
        """
        fields = [f"{column.field}={_load(column)}" for column in self._loaded]
        fields += [f"{name}={name}" for name in more]
        names: dict[str, Any] = {f"load_{each.name}": each.type.load for each in self._loaded}
        source = f"lambda {_joined(['row', *more])}: make({_joined(fields)})"
        load: Callable[..., Loaded] = _compiled(source, make=make, **names)
        return load

    def _updated(self, identified_by: Sequence[str]) -> list[Column]:
        names = frozenset(identified_by)
        return [column for column in self._given if column.changes or column.name in names]

    @staticmethod
    def _unnested(columns: Sequence[Column]) -> str:
        arrays = _joined(f"CAST(:{column.name} AS {column.type.element}[])" for column in columns)
        return f"unnest({arrays}) AS row ({_joined(column.name for column in columns)})"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _new(column: Column) -> str:
    return column.type.write.format(f"row.{column.name}")


def _added(column: Column) -> str:
    return f"stored.{column.name} || {_new(column)}"


def _load(column: Column) -> str:
    value = f"row.{column.name}"
    return value if column.type.load is None else f"load_{column.name}({value})"


def _arrays(columns: Sequence[Column], values: dict[str, Sequence[Any]]) -> dict[str, Any]:
    arrays = {}
    for column in columns:
        name, _, attribute = column.value.partition(".")
        of_rows = _attributes(attribute)(values[name]) if attribute else values[name]
        arrays[column.name] = column.type.array(of_rows)
    return arrays


@cache
def _attributes(name: str) -> Callable[[Sequence[Any]], list[Any]]:
    take: Callable[[Sequence[Any]], list[Any]]
    take = _compiled(f"lambda values: [value.{name} for value in values]")
    return take


def _compiled(source: str, **names: Any) -> Any:
    # Compiled from the specification, as dataclasses are. An attrgetter for each value takes
    # several times as long, and a worker does this for every waiting job.
    return eval(source, names)

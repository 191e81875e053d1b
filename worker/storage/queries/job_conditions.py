"""SQL conditions on jobs, and for what people know a job by: the event's name and the email.

Postgres cannot turn every JSON document into text: ``\\u0000`` and halves of surrogate pairs fail
the whole statement. Documents with such escapes have neither a name nor an email here.
"""

from __future__ import annotations

_READABLE = r"(CAST({body} AS text) !~ '\\u(0000|[dD][89a-fA-F])')"


def any_of(parameter: str, *expressions: str) -> str:
    """Return the condition that an expression is one of the parameter's values. NULL allows any."""
    matches = " OR ".join(f"{each} = ANY(CAST(:{parameter} AS text[]))" for each in expressions)
    return f"(CAST(:{parameter} AS text[]) IS NULL OR {matches})"


def event_name(body: str = "body") -> str:
    """Return the SQL for the name of the event, page or screen in a column of documents."""
    return f"""CASE WHEN NOT {_READABLE.format(body=body)} THEN NULL
        WHEN json_typeof({body} -> 'name') = 'string' THEN {body} ->> 'name' END"""


def email(body: str = "body") -> str:
    """Return the SQL for the email in lower case, as an identifier or an attribute."""
    either = f"{body} #>> '{{identifiers,email}}', {body} #>> '{{attributes,email}}'"
    return f"CASE WHEN {_READABLE.format(body=body)} THEN lower(coalesce({either})) END"

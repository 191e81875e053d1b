"""Where alerts go: a webhook, an email, and the sign of life of the watcher itself.

Addresses of webhooks are secrets: whoever knows one can write there. No error quotes them.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import requests
import structlog

from trackrelay.transport.answers import NoAnswer
from trackrelay.transport.http_transport import HttpTransport
from trackrelay.worker.cli.common.humanize import listed
from trackrelay.worker.telemetry.visible_text import visible

from .alert_message import AlertMessage

log = structlog.get_logger("trackrelay.watch")

#: How long a request or an email may take.
TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 100_000

Form = Literal["slack", "json"]


class NotSentError(Exception):
    """A message did not arrive. The text names the channel and no secret."""


class Channel(Protocol):
    """Takes messages."""

    def send(self, message: AlertMessage) -> None:
        """Send a message.

        Raises:
            NotSentError: it did not arrive.
        """


def form_of(url: str) -> Form:
    """Return the form that the server of a webhook takes, as far as its name tells."""
    return "slack" if (urlsplit(url).hostname or "").endswith("slack.com") else "json"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts messages as JSON."""

    url: str = field(repr=False)
    form: Form

    def send(self, message: AlertMessage) -> None:
        """Post a message."""
        document = message.as_slack() if self.form == "slack" else message.as_json()
        request = requests.Request(
            "POST",
            self.url,
            data=msgspec.json.encode(document),
            headers={"Content-Type": "application/json"},
        )
        _exchange(request, "the webhook")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The dead man's switch: tells a monitor that the watcher works, or the monitor calls you."""

    url: str = field(repr=False)

    def beat(self) -> None:
        """Ask for the URL.

        Raises:
            NotSentError: the monitor did not answer with success.
        """
        _exchange(requests.Request("GET", self.url), "the monitor of the heartbeat")


def _exchange(request: requests.Request, what: str) -> None:
    transport = HttpTransport(TIMEOUT_S, _MAX_ANSWER_BYTES)
    # Without it, a .netrc file would add credentials.
    request.auth = lambda prepared: prepared
    try:
        answer = transport.send(request, transport.call())
    finally:
        transport.close()
    if isinstance(answer, NoAnswer):
        # The words of a library may quote the address.
        raise NotSentError(f"{what} cannot be reached")
    if not 200 <= answer.status < 300:
        raise NotSentError(f"{what} answered {answer.status}")


@dataclass(frozen=True, slots=True)
class MailServer:
    """An SMTP server."""

    host: str
    port: int
    #: Encrypted from the first byte, else with STARTTLS if the server offers it.
    is_encrypted: bool
    user: str
    password: str = field(repr=False)
    sender: str


def mail_server(url: str) -> MailServer:
    """Return the server of ``smtp[s]://user:password@host:port?from=address``.

    Raises:
        ValueError: the URL is wrong. The message quotes no part of it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is not a URL; percent-encode the password") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("it must look like smtp://user:password@host:587?from=alerts@example.com")
    sender = parse_qs(parts.query).get("from", [""])[0]
    if "@" not in sender:
        raise ValueError("it must name the sender's address: ?from=alerts@example.com")
    return MailServer(
        parts.hostname,
        port or (465 if parts.scheme == "smtps" else 587),
        parts.scheme == "smtps",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        sender,
    )


@dataclass(frozen=True, slots=True)
class Email:
    """Sends messages as plain text."""

    server: MailServer
    recipients: Sequence[str]

    def send(self, message: AlertMessage) -> None:
        """Send an email to all recipients."""
        mail = EmailMessage()
        # A header has one line.
        mail["Subject"] = visible(f"[trackrelay] {message.title}")[:200]
        mail["From"] = self.server.sender
        mail["To"] = ", ".join(self.recipients)
        mail.set_content("\n\n".join((message.title, *message.lines)) + "\n")
        try:
            refused = self._send(mail)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSentError(
                f"the email was not sent: {_mail_problem(error, self.server)}"
            ) from None
        for address, (code, _) in refused.items():
            # The others have it, and would get it again.
            log.warning("alert_recipient_refused", recipient=visible(address)[:200], code=code)

    def _send(self, mail: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Send an email, and return the recipients that the server refused."""
        server, context = self.server, ssl.create_default_context()
        options: Mapping[str, Any] = {"timeout": TIMEOUT_S}
        with (
            smtplib.SMTP_SSL(server.host, server.port, context=context, **options)
            if server.is_encrypted
            else smtplib.SMTP(server.host, server.port, **options)
        ) as client:
            client.ehlo_or_helo_if_needed()
            if not server.is_encrypted and client.has_extn("starttls"):
                client.starttls(context=context)
            elif not server.is_encrypted and server.user:
                raise NotSentError("the mail server offers no encryption for the password")
            if server.user:
                client.login(server.user, server.password)
            return client.send_message(mail)


def _mail_problem(error: Exception, server: MailServer) -> str:
    """Say why an email was not sent. The server's words may quote what it was sent: only codes."""
    where = f"the mail server at {server.host}:{server.port}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{where} refuses the user or the password (code {error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = listed([f"{name} (code {code})" for name, (code, _) in error.recipients.items()])
        return f"{where} refuses {visible(codes)[:500]}"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return f"{where} refuses the sender {server.sender} (code {error.smtp_code})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{where} offers no login"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{where} refuses it (code {error.smtp_code})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{where} and this machine agree on no encryption"
    if isinstance(error, smtplib.SMTPServerDisconnected | TimeoutError):
        return f"{where} does not answer as one"
    if isinstance(error, OSError):
        return f"{where} cannot be reached"
    return type(error).__name__

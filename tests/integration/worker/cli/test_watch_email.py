"""`trackrelay watch --email` against a real mail server: encryption, sign-in, and refusals."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from tests.support.command_line import CommandLine
from tests.support.silent_servers import dripping
from trackrelay.worker.cli.watch import alert_channels
from trackrelay.worker.devstack.servers import ports

PASSWORD = "s3cret of the mail server"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate and the key of 127.0.0.1, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-noenc", "-days", "2", "-subj", "/CN=mail"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    file.write_bytes(key.read_bytes() + file.read_bytes())
    return file


class MailBox:
    """A mail server with one user, and the messages that it took."""

    def __init__(self, certificate: Path, *, encrypts: bool = True) -> None:
        self.taken: list[Envelope] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.port = ports.free_port()
        self._server = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._check,
            **({"tls_context": context, "require_starttls": True} if encrypts else {}),
        )
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    @staticmethod
    def _check(_server: Any, _session: Any, _envelope: Any, _way: str, data: Any) -> AuthResult:
        return AuthResult(
            success=(data.login, data.password) == (b"ada", PASSWORD.encode()), handled=False
        )

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return f"550 no such user, and the password is {PASSWORD}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope
    ) -> str:
        self.taken.append(envelope)
        return "250 taken"


@pytest.fixture
def mailbox(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailBox]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mailbox = MailBox(certificate)
    yield mailbox
    mailbox.stop()


def url(port: int, password: str = PASSWORD) -> str:
    """The setting."""
    quoted = password.replace(" ", "%20")
    return f"smtp://ada:{quoted}@127.0.0.1:{port}?from=alerts@example.com"


def test_an_alert_arrives_encrypted_after_a_sign_in(run: CommandLine, mailbox: MailBox) -> None:
    to = ("--email", "ops@example.com", "--email", "nobody@example.com")
    answer = run("watch", "--test", *to, "--name", "shop", TRACKRELAY_SMTP_URL=url(mailbox.port))

    assert answer.code == 0, answer.err
    # One of two was refused: the other has it, and somebody reads who has not.
    assert "alert_recipient_refused" in answer.err
    assert "nobody@example.com" in answer.err
    assert PASSWORD not in answer.err
    (mail,) = mailbox.taken
    assert mail.rcpt_tos == ["ops@example.com"]
    assert mail.mail_from == "alerts@example.com"
    assert isinstance(mail.content, bytes)
    assert b"Subject: [trackrelay] " in mail.content
    assert b"shop: this is a test of the alerts" in mail.content.replace(b"=\r\n", b"")


def test_what_the_mail_server_refuses_is_said_without_the_password(
    run: CommandLine, mailbox: MailBox, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    monkeypatch.setattr(alert_channels, "TIMEOUT_S", 1.0)

    def problem(setting: str, to: str = "ops@example.com") -> str:
        answer = run("watch", "--test", "--email", to, TRACKRELAY_SMTP_URL=setting)
        assert PASSWORD not in answer.err
        return answer.only_line()

    where = f"the mail server at 127.0.0.1:{mailbox.port}"
    assert problem(url(mailbox.port, "wrong")) == (
        f"the email was not sent: {where} refuses the user or the password (code 535)"
    )
    assert problem(url(mailbox.port), "nobody@example.com") == (
        f"the email was not sent: {where} refuses nobody@example.com (code 550)"
    )
    assert problem(url(ports.free_port())).endswith("cannot be reached")
    with dripping(b"", b"") as silent:
        assert problem(url(silent)).endswith("does not answer as one")
    # Not the other way round: it is encrypted later.
    assert "encryption" in problem(url(mailbox.port).replace("smtp:", "smtps:"))

    plain = MailBox(certificate, encrypts=False)
    assert problem(url(plain.port)) == "the mail server offers no encryption for the password"
    plain.stop()
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "is not valid: self" in problem(url(mailbox.port))
    assert mailbox.taken == []

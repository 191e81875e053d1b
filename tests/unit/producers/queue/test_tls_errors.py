"""What an error of TLS tells the operator to do."""

import pytest

from trackrelay.queue.tls_errors import tls_hint

VERIFY = (
    "Error 1 connecting to a:6379. [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
)


@pytest.mark.parametrize(
    ("text", "url", "hint"),
    [
        (VERIFY + "self-signed", "rediss://a", "add ssl_ca_certs="),
        (VERIFY + "self-signed", "rediss://a?ssl_ca_certs=/ca", "none of the CAs"),
        (VERIFY + "IP address mismatch, certificate is", "rediss://a", "is for another host"),
        (VERIFY + "certificate has expired", "rediss://a", "renew the server's certificate"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version", "sentinels://a/m", "write sentinel:// in"),
        ("EOF occurred in violation of protocol", "rediss://a", "write redis:// in"),
        ("tlsv13 alert certificate required", "rediss://a", "requires a client certificate: add"),
        (
            "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]",
            "rediss://a?ssl_certfile=/c",
            "requires a client certificate: correct ssl_certfile",
        ),
        ("Error 8 while writing to socket. EOF occurred", "rediss://a", "if the server requires a"),
        ("Timeout connecting to server", "rediss://a", "if the server uses no TLS on this port"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA]", "rediss://a?ssl_certfile=/c", "does not accept"),
        ("Error 2 connecting to a:1. No such file or directory.", "rediss://a", "cannot be read"),
        ("Connection closed by server.", "redis://a", "write rediss:// in"),
        ('Protocol error, got "\\x15" as reply type byte', "redis://a", "write rediss:// in"),
        ("Error 104 while writing. Connection reset by peer", "sentinel://a/m", "write sentinels:"),
    ],
)
def test_an_error_of_tls_tells_what_to_do(text: str, url: str, hint: str) -> None:
    assert hint in tls_hint(text, url)


@pytest.mark.parametrize("url", ["redis://a", "rediss://a", "sentinel://a/m", "unix:///run/r.sock"])
def test_other_errors_have_no_hint_about_tls(url: str) -> None:
    assert not tls_hint("Error 111 connecting to a:6379. Connection refused.", url)


def test_a_missing_socket_is_no_missing_certificate() -> None:
    assert not tls_hint("Error 2 connecting to /run/r. No such file or directory.", "unix:///run/r")


def test_no_part_of_the_url_is_quoted() -> None:
    url = "rediss://user:s3cret@host:6379/0?ssl_password=s3cret&ssl_certfile=/s3cret"
    texts = (VERIFY, "WRONG_VERSION_NUMBER", "CERTIFICATE_REQUIRED", "UNKNOWN_CA", "No such file")
    assert not [text for text in texts if "s3cret" in tls_hint(text, url)]

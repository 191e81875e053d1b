"""What to do about a connection that fails because of TLS. OpenSSL's texts do not say."""

from __future__ import annotations

from urllib.parse import parse_qs

SETTING = "TRACKRELAY_REDIS_URL"
#: Schemes by whether their connections use TLS.
_PLAIN = {"rediss": "redis", "sentinels": "sentinel"}
_TLS = {plain: tls for tls, plain in _PLAIN.items()}
#: What a server without TLS makes of a handshake, and a server with TLS of a plain command.
_NO_HANDSHAKE = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF", "EOF occurred")
_CLOSED = (
    "Connection closed by server",
    "Connection reset by peer",
    "Protocol Error",  # of redis-py
    "Protocol error",  # of hiredis
)
#: What ends a connection after the handshake.
_USED = ("while writing", "while reading", "Connection closed by server")
_NOT_OF_A_CLIENT = ("HANDSHAKE_FAILURE", "CERTIFICATE_REQUIRED", "certificate required")
_REFUSED_CLIENT = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN")


def tls_hint(text: str, url: str) -> str:
    """Return what to do about an error of a connection; empty if TLS is not its cause.

    Args:
        text: of the error.
        url: of the Redis, as the settings have it. No part of it but the scheme is quoted.
    """
    scheme, _, rest = url.partition("://")
    if scheme in _TLS:
        if not any(words in text for words in _CLOSED):
            return ""
        return f"if this port requires TLS, write {_TLS[scheme]}:// in {SETTING}"
    if scheme not in _PLAIN:
        return ""
    options = parse_qs(rest.partition("?")[2])
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _verification(text, options)
    if any(words in text for words in _NOT_OF_A_CLIENT):
        return f"the server requires a client certificate: {_client_files(options)}"
    if any(words in text for words in _REFUSED_CLIENT):
        return f"the server does not accept the client certificate: {_client_files(options)}"
    if any(words in text for words in _USED) and "ssl_certfile" not in options:
        # With TLS 1.3 the handshake is over before the server misses a certificate.
        return f"if the server requires a client certificate, {_client_files(options)}"
    return _handshake(text, scheme)


def _handshake(text: str, scheme: str) -> str:
    other = f"write {_PLAIN[scheme]}:// in {SETTING}, or the port with TLS"
    if any(words in text for words in _NO_HANDSHAKE):
        return f"the server uses no TLS on this port: {other}"
    if "Timeout connecting" in text:
        # A server without TLS waits for the end of what it takes for a command.
        return f"if the server uses no TLS on this port, {other}"
    if "No such file" in text or "Permission denied" in text:
        return f"a file in the ssl_… options of {SETTING} cannot be read"
    return ""


def _verification(text: str, options: dict[str, list[str]]) -> str:
    if "mismatch" in text or "not valid for" in text:
        return (
            f"the server's certificate is for another host: {SETTING} and Sentinels must use "
            "a name or an address that the certificate has"
        )
    if "expired" in text or "not yet valid" in text:
        return "renew the server's certificate, or set the clock of this machine"
    if "ssl_ca_certs" in options or "ssl_ca_path" in options:
        return f"none of the CAs in the ssl_ca_… option of {SETTING} has signed the certificate"
    return (
        "the system does not know the CA of the server's certificate: "
        f"add ssl_ca_certs=/path/of/ca.pem to {SETTING}"
    )


def _client_files(options: dict[str, list[str]]) -> str:
    if "ssl_certfile" in options:
        return f"correct ssl_certfile and ssl_keyfile in {SETTING}"
    return f"add ssl_certfile=/path/of/cert.pem and ssl_keyfile=/path/of/key.pem to {SETTING}"

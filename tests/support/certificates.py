"""Certificates for servers on 127.0.0.1, by an authority that only the test knows."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-noenc", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_EXTENSIONS = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, its key, and the authority that has signed it."""

    authority: Path
    file: Path
    key: Path

    @property
    def options(self) -> dict[str, str]:
        """redis-py's options, which are those of a URL, too."""
        return {
            "ssl_ca_certs": str(self.authority),
            "ssl_certfile": str(self.file),
            "ssl_keyfile": str(self.key),
        }


def make_certificate(folder: Path, name: str) -> Certificate:
    """Make an authority of this name, and a certificate that it signs for 127.0.0.1."""
    authority, authority_key = folder / f"{name}-ca.pem", folder / f"{name}-ca.key"
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    request, extensions = folder / f"{name}.csr", folder / f"{name}.cnf"
    extensions.write_text(_EXTENSIONS)
    _openssl(
        *("req", "-x509", "-days", "2", "-subj", f"/CN={name} authority", *_NEW_KEY),
        *("-addext", "keyUsage=critical,keyCertSign", "-keyout", authority_key, "-out", authority),
    )
    _openssl("req", "-subj", f"/CN={name}", *_NEW_KEY, "-keyout", key, "-out", request)
    _openssl(
        *("x509", "-req", "-days", "2", "-in", request, "-extfile", extensions),
        *("-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-out", file),
    )
    return Certificate(authority, file, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

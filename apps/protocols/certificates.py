# SPDX-License-Identifier: Apache-2.0
"""The certificate authority of a lab, and the certificates that it signs.

The cast
    `authority`     makes the authority, once for all servers; its certificate is what clients trust
    `certificate`   makes a server's key and certificate, signed by it
    `CaError`       a sentence and a next step
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import re
import subprocess
from collections.abc import Sequence

from protocols.language import in_words, say

FOLDER = "/run/hoplab-ca"  # in a lab: shared by its hosts, seen by nobody else
DAYS = "825"


class CaError(Exception):
    """Why there is no certificate, and what to do next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def authority(folder: str) -> str:
    """The path of the authority's certificate in FOLDER; made if it is not there. Raises CaError.

    Several servers may start at once: the first makes it, the others wait.
    """
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        info = os.lstat(folder)
        if os.path.islink(folder) or info.st_uid != os.geteuid():
            raise CaError(
                say("{folder} belongs to somebody else", folder=folder),
                say("Choose another folder."),
            )
        lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CaError(
            say("cannot write {path}: {reason}", path=folder, reason=in_words(error)),
            say("Choose another folder."),
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = os.path.join(folder, "ca.pem")
        if not os.path.exists(path):
            _openssl(
                "-subj", "/CN=hoplab lab authority",
                "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", os.path.join(folder, "ca.key"), "-out", path + ".new",
            )  # fmt: skip
            os.rename(path + ".new", path)
        return path
    finally:
        os.close(lock)


def certificate(folder: str, names: Sequence[str]) -> tuple[str, str]:
    """Paths of a certificate for NAMES (names and addresses) and of its key. Raises CaError."""
    if not names:
        raise CaError(
            say("a certificate needs a name"), say("Name the server, such as www.itheima.com.")
        )
    alternatives = []
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9*.:_-]{1,200}", name):
            raise CaError(
                say("{name!r} is no name of a server", name=name),
                say("Give a name or an address."),
            )
        alternatives.append(f"{'IP' if _is_address(name) else 'DNS'}:{name}")
    ca = authority(folder)
    base = os.path.join(folder, names[0].replace("*", "_").replace(":", "_"))
    # Each server makes files of its own and renames them, so that nobody reads half of one.
    temporary = f"{base}.{os.getpid()}"
    _openssl(
        "-subj", f"/CN={names[0][:64]}",
        "-CA", ca, "-CAkey", os.path.join(folder, "ca.key"),
        "-addext", f"subjectAltName={','.join(alternatives)}",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-addext", "extendedKeyUsage=serverAuth",
        "-keyout", f"{temporary}.key", "-out", f"{temporary}.pem",
    )  # fmt: skip
    os.rename(f"{temporary}.key", f"{base}.key")
    os.rename(f"{temporary}.pem", f"{base}.pem")
    return f"{base}.pem", f"{base}.key"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _openssl(*arguments: str) -> None:
    command = ["openssl", "req", "-x509", "-new", "-days", DAYS, "-nodes"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *arguments]
    try:
        before = os.umask(0o077)  # nobody else may read the keys
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        finally:
            os.umask(before)
    except FileNotFoundError:
        raise CaError(
            say("there is no openssl command"), say("Install it: apt install openssl")
        ) from None
    if made.returncode:
        lines: list[str] = made.stderr.strip().splitlines() or [say("it failed")]
        raise CaError(
            say("openssl: {line}", line=lines[-1]), say("It must be version 3: openssl version")
        )
    os.chmod(arguments[-1], 0o644)

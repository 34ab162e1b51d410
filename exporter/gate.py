"""Who may see the page: TLS and passwords, by a file that may change while the exporter runs."""

import base64
import binascii
import hashlib
import logging
import ssl
import threading
from pathlib import Path

import bcrypt

from exporter.web_config import WebConfig, read_web_config
from outbound_slo.vocabulary.mistakes import UserMistake

_LOG = logging.getLogger(__name__)
# Each scrape brings the same password, and to check it anew would cost a tenth of a second.
_REMEMBERED = 100
# Checked where there is no such user, so that the time taken tells nobody who there is.
_NOBODY = bcrypt.hashpw(b"nobody", bcrypt.gensalt(rounds=10))
# bcrypt reads no further, and the library refuses more.
_PASSWORD_BYTES = 72

_Stamp = tuple[tuple[int, int], ...]


class Gate:
    """Applies a web configuration file; without one everybody may see the page.

    The file, the certificate and the key are read again when they change on disk; the last good
    ones stay while what is there cannot be used.

    Args:
        path: The file, or None.

    Raises:
        UserMistake: The file is malformed, or names a certificate or key that cannot be used.

    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._config = read_web_config(path) if path else WebConfig()
        self._stamp = _read_stamp(self._config)
        self._known: dict[bytes, bool] = {}

    def config(self) -> WebConfig:
        """Give what holds now."""
        if self._path is not None:
            stamp = _read_stamp(self._config)
            if stamp != self._stamp:
                self._read_again(self._path, stamp)
        return self._config

    def _read_again(self, path: Path, stamp: _Stamp) -> None:
        with self._lock:
            if stamp == self._stamp:
                return
            # Also after a mistake: it is told once, and looked at again after the next change.
            self._stamp = stamp
            try:
                self._config = read_web_config(path)
            except UserMistake as mistake:
                _LOG.warning("The web configuration stays as it was: %s", mistake)
            else:
                self._stamp = _read_stamp(self._config)
                _LOG.info("Read %s again", path)

    def admits(self, authorization: str) -> bool:
        """Tell whether a request with this Authorization header may pass."""
        users = self.config().users
        if not users:
            return True
        given = _read_basic(authorization)
        if given is None:
            return False
        user, password = given
        hashed = users.get(user, _NOBODY)
        # A digest, so that no password stays in memory.
        key = hashlib.sha256(b"\0".join((user.encode(), hashed, password))).digest()
        known = self._known.get(key)
        if known is None:
            with self._lock:
                known = self._known.get(key)
                if known is None:
                    known = bcrypt.checkpw(password[:_PASSWORD_BYTES], hashed)
                    if len(self._known) >= _REMEMBERED:
                        self._known.clear()
                    self._known[key] = known
        return known and user in users

    def welcomes(self, line: object) -> bool:
        """Tell whether a client's certificate has an allowed name, if names are asked for."""
        names = self.config().client_names
        if not names:
            return True
        certificate = line.getpeercert() if isinstance(line, ssl.SSLSocket) else None
        own = (certificate or {}).get("subjectAltName", ())
        return any(isinstance(entry, tuple) and entry[-1] in names for entry in own)


def _read_stamp(config: WebConfig) -> _Stamp:
    """Give what changes when a file does."""
    stamps = []
    for file in config.files:
        try:
            status = file.stat()
        except OSError:
            stamps.append((0, 0))
        else:
            stamps.append((status.st_mtime_ns, status.st_size))
    return tuple(stamps)


def _read_basic(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, mark, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if mark else None
    except (binascii.Error, UnicodeDecodeError):
        return None

"""TLS and users of the page, as the exporter-toolkit's web configuration file says."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exporter.document import read_document
from outbound_slo.vocabulary.mistakes import UserMistake

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_FILE_KEYS = ("cert_file", "key_file", "client_ca_file")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web configuration file says.

    Attributes:
        tls: Speaks TLS; None for pages in the clear.
        users: bcrypt hashes by user; empty lets everybody in.
        headers: Of every answer.
        client_names: Of which a client's certificate must have one; empty for any.
        files: What was read, so that a change is noticed.

    """

    tls: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    client_names: frozenset[str] = frozenset()
    files: tuple[Path, ...] = ()


@cache
def web_config_schema() -> Mapping[str, Any]:
    """Give the JSON Schema of a web configuration file."""
    text = resources.files("exporter").joinpath("web-config.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return MappingProxyType(schema)


def read_web_config(path: Path) -> WebConfig:
    """Read the file, its certificate and key.

    Raises:
        UserMistake: The file is malformed, or a certificate or key cannot be used.

    """
    document = read_document(path, str(path), web_config_schema())
    http: Mapping[str, Any] = document.get("http_server_config", {})
    tls: Mapping[str, Any] | None = document.get("tls_server_config")
    users: Mapping[str, str] = document.get("basic_auth_users", {})
    named = [tls[key] for key in _FILE_KEYS if key in tls] if tls else []
    return WebConfig(
        tls=_make_context(tls, path) if tls else None,
        users=MappingProxyType({user: text.encode() for user, text in users.items()}),
        headers=MappingProxyType(dict(http.get("headers", {}))),
        client_names=frozenset(tls.get("client_allowed_sans", ())) if tls else frozenset(),
        files=(path, *(path.parent / name for name in named)),
    )


def _make_context(tls: Mapping[str, Any], path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.get("min_version", "TLS12")]
    context.maximum_version = _VERSIONS[tls.get("max_version", "TLS13")]
    if context.minimum_version > context.maximum_version:
        raise UserMistake(
            f"{path}: tls_server_config.max_version is below min_version", "Swap them"
        )
    if "cipher_suites" in tls:
        context.set_ciphers(":".join(map(_name_suite, tls["cipher_suites"])))
    if tls.get("prefer_server_cipher_suites", True):
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(path, tls, ("cert_file", "key_file"), context.load_cert_chain)
    verification = _CLIENTS[tls.get("client_auth_type", "NoClientCert")]
    authority = "client_ca_file" in tls
    if authority is not (verification is not ssl.CERT_NONE):
        raise UserMistake(
            f"{path}: tls_server_config has client_ca_file or a client_auth_type that verifies, "
            "but not both",
            "Give both, or neither",
        )
    if "client_allowed_sans" in tls and verification is not ssl.CERT_REQUIRED:
        raise UserMistake(
            f"{path}: tls_server_config.client_allowed_sans stands without certificates to check",
            "Set client_auth_type to RequireAndVerifyClientCert",
        )
    if authority:
        _load(path, tls, ("client_ca_file",), context.load_verify_locations)
        context.verify_mode = verification
    return context


def _name_suite(iana: str) -> str:
    """Give OpenSSL's name of a suite in the schema's list."""
    exchange, cipher = iana.removeprefix("TLS_").split("_WITH_")
    name = cipher.removesuffix("_SHA256") if "POLY1305" in cipher else cipher
    return f"{exchange}-{name}".replace("_", "-").replace("AES-", "AES")


def _load(path: Path, tls: Mapping[str, Any], keys: tuple[str, ...], load: Any) -> None:  # noqa: ANN401 - either of two methods of the context
    files = [path.parent / tls[key] for key in keys]
    named = " and ".join(f"{key} {file}" for key, file in zip(keys, files, strict=True))
    for key, file in zip(keys, files, strict=True):
        if not file.is_file():
            raise UserMistake(
                f"{path}: tls_server_config.{key} is {file}, which is not there", "Correct the path"
            )
    try:
        load(*files)
    except OSError as error:
        # Errors of OpenSSL are such, too.
        reason = getattr(error, "reason", None) or error.strerror or "not usable"
        raise UserMistake(
            f"{path}: tls_server_config: {named} cannot be used: "
            f"{str(reason).lower().replace('_', ' ')}",
            "Give PEM files that belong together, readable by the exporter",
        ) from error

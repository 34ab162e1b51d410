"""TLS, client certificates, passwords and headers of the page, as real clients meet them."""

import datetime as dt
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.collector import Clock
from exporter.gate import Gate
from exporter.publication import Publication
from exporter.server import MetricsServer
from exporter.web_config import read_web_config, web_config_schema
from outbound_slo.vocabulary.mistakes import UserMistake

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
CLOCK = Clock(wall=lambda: 0.0, steady=lambda: 0.0)


@dataclass(frozen=True)
class Authority:
    """Signs certificates into a folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign("authority", key.public_key(), "authority", key, authority=True)
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, certificate)

    def issue(self, name: str) -> tuple[str, str]:
        """Write `NAME.pem` and `NAME.key` for an address and a name; gives their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, key.public_key(), "authority", self.key, authority=False)
        pem, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(pem), str(private)


def _sign(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(subject), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.make(tmp_path)
    made.issue("server")
    return made


def write_config(folder: Path, **document: object) -> Path:
    path = folder / "web.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def tls(**more: object) -> dict[str, object]:
    return {"cert_file": "server.pem", "key_file": "server.key", **more}


@contextmanager
def listening(path: Path, reload: Callable[[], None] = lambda: None) -> Iterator[str]:
    publication = Publication([], 30.0, CLOCK)
    gate = Gate(path)
    with MetricsServer("127.0.0.1", 0, publication, lambda: True, reload, gate) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def get(url: str, **options: Any) -> requests.Response:  # noqa: ANN401 - those of requests
    return requests.get(url, timeout=30, **options)


def test_passwords_open_the_page_and_nothing_else_does(tmp_path: Path) -> None:
    path = write_config(tmp_path, basic_auth_users={"prometheus": HASH})
    with listening(path) as url:
        answers = {
            "none": get(f"{url}/metrics"),
            "right": get(f"{url}/metrics", auth=("prometheus", PASSWORD)),
            "right again": get(f"{url}/metrics", auth=("prometheus", PASSWORD)),
            "wrong": get(f"{url}/metrics", auth=("prometheus", "guess")),
            "stranger": get(f"{url}/metrics", auth=("nobody", "nobody")),
            "no base64": get(f"{url}/metrics", headers={"Authorization": "Basic !"}),
            "bearer": get(f"{url}/metrics", headers={"Authorization": f"Bearer {PASSWORD}"}),
        }
        health = get(f"{url}/healthz")

    assert {name for name, answer in answers.items() if answer.ok} == {"right", "right again"}
    assert {answer.status_code for answer in answers.values()} == {200, 401}
    assert answers["none"].headers["WWW-Authenticate"].startswith("Basic realm=")
    assert "outbound_exporter_build_info" in answers["right"].text
    assert "outbound_exporter_build_info" not in answers["none"].text
    assert health.status_code == 200


def test_a_reload_needs_the_password_too(tmp_path: Path) -> None:
    reloads: list[None] = []
    path = write_config(tmp_path, basic_auth_users={"prometheus": HASH})
    with listening(path, lambda: reloads.append(None)) as url:
        refused = requests.post(f"{url}/-/reload", timeout=30)
        assert reloads == []
        taken = requests.post(f"{url}/-/reload", auth=("prometheus", PASSWORD), timeout=30)

    assert (refused.status_code, taken.status_code, len(reloads)) == (401, 200, 1)


def test_the_page_is_served_over_tls_with_its_headers(authority: Authority) -> None:
    path = write_config(
        authority.folder,
        tls_server_config=tls(min_version="TLS13"),
        http_server_config={"http2": True, "headers": {"X-Frame-Options": "deny"}},
    )
    with listening(path) as url:
        assert url.startswith("https://")
        answer = get(f"{url}/metrics", verify=str(authority.folder / "ca.pem"))
        with pytest.raises(requests.exceptions.SSLError):
            get(f"{url}/metrics")
        with pytest.raises(requests.ConnectionError):
            get(url.replace("https", "http") + "/metrics")
        still = get(f"{url}/metrics", verify=str(authority.folder / "ca.pem"))

    assert answer.ok
    assert still.ok
    assert answer.headers["X-Frame-Options"] == "deny"


def test_a_client_without_its_certificate_is_refused(authority: Authority) -> None:
    client = authority.issue("prometheus")
    stranger = authority.issue("stranger")
    path = write_config(
        authority.folder,
        tls_server_config=tls(
            client_auth_type="RequireAndVerifyClientCert",
            client_ca_file="ca.pem",
            client_allowed_sans=["prometheus"],
        ),
    )
    trust = str(authority.folder / "ca.pem")
    with listening(path) as url:
        known = get(f"{url}/metrics", verify=trust, cert=client)
        other = get(f"{url}/metrics", verify=trust, cert=stranger)
        with pytest.raises(requests.ConnectionError):
            get(f"{url}/metrics", verify=trust)

    assert (known.status_code, other.status_code) == (200, 403)


def test_a_renewed_certificate_and_password_are_used_without_a_restart(
    authority: Authority,
) -> None:
    path = write_config(authority.folder, tls_server_config=tls())
    trust = str(authority.folder / "ca.pem")
    with listening(path) as url:
        assert get(f"{url}/metrics", verify=trust).ok
        renewed = Authority.make(authority.folder)
        renewed.issue("server")
        _touch(authority.folder)
        assert get(f"{url}/metrics", verify=trust).ok
        write_config(
            authority.folder, tls_server_config=tls(), basic_auth_users={"prometheus": HASH}
        )
        _touch(authority.folder)
        assert get(f"{url}/metrics", verify=trust).status_code == 401


def _touch(folder: Path) -> None:
    """Give every file a later time, even where the file system's clock is coarse."""
    for file in folder.iterdir():
        later = file.stat().st_mtime_ns + 10**9
        os.utime(file, ns=(later, later))


def test_a_broken_file_leaves_the_last_good_one_in_force(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_config(authority.folder, basic_auth_users={"prometheus": HASH})
    with listening(path) as url:
        path.write_text("basic_auth_users: [")
        _touch(authority.folder)
        open_to = [
            get(f"{url}/metrics").status_code,
            get(f"{url}/metrics", auth=("prometheus", PASSWORD)).status_code,
        ]

    assert open_to == [401, 200]
    assert [line for line in caplog.messages if "stays as it was" in line]
    assert len(caplog.messages) == 1


MISTAKES: list[tuple[dict[str, object], str, str]] = [
    ({"tls_config": {}}, "has the key tls_config", "Did you mean tls_server_config?"),
    ({"tls_server_config": {"cert_file": "server.pem"}}, "lacks key_file", "Add key_file"),
    ({"tls_server_config": tls(cert_file="x.pem")}, "x.pem, which is not there", "path"),
    ({"tls_server_config": tls(key_file="ca.pem")}, "cannot be used", "belong together"),
    ({"tls_server_config": tls(min_version="TLS10")}, 'min_version is "TLS10"', "TLS12 or TLS13"),
    (
        {"tls_server_config": tls(min_version="TLS13", max_version="TLS12")},
        "max_version is below",
        "Swap",
    ),
    ({"tls_server_config": tls(cipher_suites=["RC4"])}, 'cipher_suites[0] is "RC4"', "ECDHE"),
    (
        {"tls_server_config": tls(client_auth_type="RequireAnyClientCert")},
        "client_auth_type is",
        "proves nothing",
    ),
    ({"tls_server_config": tls(client_ca_file="ca.pem")}, "but not both", "Give both"),
    ({"tls_server_config": tls(client_allowed_sans=["x"])}, "client_allowed_sans", "Require"),
    ({"basic_auth_users": {"a": "secret"}}, "basic_auth_users.a is", "a bcrypt hash"),
    ({"basic_auth_users": {"a:b": HASH}}, 'basic_auth_users is "a:b"', "without a colon"),
    (
        {"http_server_config": {"headers": {"X-Frame-Options": "a\nb"}}},
        "X-Frame-Options is",
        "ASCII",
    ),
]


@pytest.mark.parametrize(("document", "what", "mend"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_in_the_file_is_named_with_its_mend(
    authority: Authority, document: dict[str, object], what: str, mend: str
) -> None:
    path = write_config(authority.folder, **document)

    with pytest.raises(UserMistake) as caught:
        Gate(path)

    assert what in caught.value.what
    assert str(path) in caught.value.what
    assert mend in caught.value.mend


def test_a_file_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match=r"web\.yml cannot be read: no such file"):
        Gate(tmp_path / "web.yml")


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("")

    assert read_web_config(tmp_path / "web.yml").users == {}


def test_every_cipher_suite_of_the_schema_is_known_to_openssl(authority: Authority) -> None:
    properties = web_config_schema()["properties"]["tls_server_config"]["properties"]
    suites = properties["cipher_suites"]["items"]["enum"]
    for suite in suites:
        path = write_config(authority.folder, tls_server_config=tls(cipher_suites=[suite]))
        context = read_web_config(path).tls
        assert context is not None
        old = [c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2"]
        assert len(old) == 1


def test_an_old_protocol_is_refused(authority: Authority) -> None:
    path = write_config(authority.folder, tls_server_config=tls(min_version="TLS13"))
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with listening(path) as url:
        port = int(url.rpartition(":")[2])
        with (
            pytest.raises(ssl.SSLError),
            _connect(port) as line,
            context.wrap_socket(line, server_hostname="127.0.0.1"),
        ):
            pass


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)

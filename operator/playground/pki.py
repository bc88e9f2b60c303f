"""Keys and certificates of one control plane, so that every client can check whom it talks to.

`playground.credentials` makes them anew for each control plane; nothing is trusted beyond it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)
_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as files.

    Attributes:
        certificate: PEM file.
        key: PEM file, readable by its owner only.
    """

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that lives as long as its control plane.

    Args:
        name: Common name.
        folder: Where its certificate and all that it issues are written; exists.
        now: The time from which on its certificates hold, aware.
    """

    def __init__(self, name: str, folder: Path, now: datetime) -> None:
        self._folder, self._now = folder, now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.path = folder / f"{name}.crt"
        self.path.write_text(self.pem)

    @property
    def pem(self) -> str:
        """Its certificate as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue_server(self, name: str, *, addresses: Sequence[str] = (), own_client: bool = False) -> Identity:
        """Issue a certificate for a server on loopback.

        Args:
            name: Common name and file name.
            addresses: IP addresses at which it is to be reached beside loopback.
            own_client: Whether the server calls itself with it, as etcd does.
        """
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if own_client else [])]
        return self._issue(name, name, (), usages, addresses)

    def issue_client(self, name: str, common_name: str, groups: tuple[str, ...] = ()) -> Identity:
        """Issue a certificate for a client.

        Args:
            name: File name.
            common_name: Kubernetes takes it as the user.
            groups: Kubernetes takes them as the user's groups.
        """
        return self._issue(name, common_name, groups, [ExtendedKeyUsageOID.CLIENT_AUTH])

    def _issue(
        self,
        name: str,
        common_name: str,
        groups: tuple[str, ...],
        usages: list[x509.ObjectIdentifier],
        addresses: Sequence[str] = (),
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(common_name, groups), key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if ExtendedKeyUsageOID.SERVER_AUTH in usages:
            builder = builder.add_extension(_reached_at(addresses), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        identity = Identity(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        identity.certificate.write_bytes(certificate)
        _write_private(identity.key, key)
        return identity

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        own = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _CLOCK_SKEW)
            .not_valid_after(self._now + _LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )


def service_account_key(path: Path) -> Path:
    """Write a new key that signs the tokens of service accounts, and answer where."""
    _write_private(path, rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))
    return path


def _name(common_name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)


def _reached_at(addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    names = ("localhost", "kubernetes", "kubernetes.default.svc")
    ips = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", *addresses)]
    return x509.SubjectAlternativeName([*ips, *map(x509.DNSName, names)])

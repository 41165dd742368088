"""A certificate authority for one test session, with RSA and ECDSA leaves."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _new_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Leaf:
    """A certificate with its files: `chain` (leaf first) and `key`."""

    def __init__(self, certificate, chain, key):
        self.certificate = certificate
        self.chain = str(chain)
        self.key = str(key)
        self.der = certificate.public_bytes(serialization.Encoding.DER)

    def conf(self):
        return {"chain": self.chain, "key": self.key}


class Authority:
    def __init__(self, directory, name="weir test CA"):
        self.directory = directory
        self.key = _new_key("ecdsa")
        now = datetime.datetime.utcnow()
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, True, True, False, False),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.file = str(directory / ("%s.pem" % name.replace(" ", "-")))
        with open(self.file, "wb") as out:
            out.write(self.pem)
        self._leaves = {}

    def leaf(self, *names, kind="ecdsa", days=30):
        """A certificate for `names` (host names or addresses); made once per set of arguments."""
        wanted = (names, kind, days)
        if wanted not in self._leaves:
            self._leaves[wanted] = self._make(names, kind, days)
        return self._leaves[wanted]

    def _make(self, names, kind, days):
        key = _new_key(kind)
        now = datetime.datetime.utcnow()
        begin = now - datetime.timedelta(days=60 if days < 0 else 1)
        alternatives = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(names[0]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        stem = "%s-%s-%d" % (names[0].replace("*", "any").replace(":", "_"), kind, len(self._leaves))
        chain, key_file = self.directory / (stem + ".pem"), self.directory / (stem + ".key")
        chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + self.pem)
        key_file.write_bytes(_pem(key))
        return Leaf(certificate, chain, key_file)

    def client_context(self, alpn=(), minimum=None, maximum=None, ciphers=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem.decode())
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if ciphers:
            context.set_ciphers(ciphers)
        return context

    def server_context(self, leaf):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.chain, leaf.key)
        return context

"""A certificate authority for one test session, with RSA and ECDSA leaves."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.x509 import ocsp
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
    def __init__(self, directory, name="weir test CA", days=30, issuer=None):
        """`issuer`: an Authority that signs this one, which is an intermediate then."""
        self.directory = directory
        self.name = name
        self.key = _new_key("ecdsa")
        self.certificate = self._certificate(issuer or self, name if issuer is None else issuer.name, days)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.file = str(directory / ("%s.pem" % name.replace(" ", "-")))
        with open(self.file, "wb") as out:
            out.write(self.pem)
        self._leaves = {}

    def _certificate(self, issuer, issuer_name, days):
        now = datetime.datetime.utcnow()
        return (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(_name(issuer_name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60 if days < 0 else 1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, True, True, False, False),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(issuer.key, hashes.SHA256())
        )

    def intermediate(self, directory, name, days=30):
        return Authority(directory, name, days, issuer=self)

    def signed_by(self, issuer):
        """This authority's certificate as another one issues it, in PEM form."""
        return self._certificate(issuer, issuer.name, 30).public_bytes(serialization.Encoding.PEM)

    def crl(self, *revoked, hours=24):
        """A revocation list of these certificates, in PEM form."""
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - datetime.timedelta(days=2))
            .next_update(now + datetime.timedelta(hours=hours))
        )
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(now - datetime.timedelta(hours=1))
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def leaf(self, *names, kind="ecdsa", days=30, client=False, begins=None, seconds=None):
        """A certificate for `names` (host names, addresses, URIs); made once per set of arguments."""
        wanted = (names, kind, days, client, begins, seconds)
        if wanted not in self._leaves or seconds is not None:
            self._leaves[wanted] = self._make(names, kind, days, client, begins, seconds)
        return self._leaves[wanted]

    def _make(self, names, kind, days, client, begins, seconds):
        key = _new_key(kind)
        now = datetime.datetime.utcnow()
        begin = now - datetime.timedelta(days=60 if days < 0 else 1)
        if begins is not None:
            begin = now + datetime.timedelta(days=begins)
        end = now + (datetime.timedelta(seconds=seconds) if seconds is not None else datetime.timedelta(days=days))
        alternatives = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                form = x509.UniformResourceIdentifier if "://" in name else x509.DNSName
                alternatives.append(form(name))
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(names[0]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        stem = "%s-%s-%d" % (names[0].replace("*", "any").replace(":", "_").replace("/", "_"), kind, len(self._leaves))
        chain, key_file = self.directory / (stem + ".pem"), self.directory / (stem + ".key")
        chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + self.pem)
        key_file.write_bytes(_pem(key))
        return Leaf(certificate, chain, key_file)

    def client_context(self, alpn=(), minimum=None, maximum=None, ciphers=None, shows=None):
        """`shows`: the leaf that the client has for servers that ask."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if shows:
            context.load_cert_chain(shows.chain, shows.key)
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

    def staple(self, leaf, status=ocsp.OCSPCertStatus.GOOD, hours=24):
        """A file with an OCSP response about `leaf`, good for some hours."""
        now = datetime.datetime.utcnow()
        revoked = {"revocation_time": None, "revocation_reason": None}
        if status == ocsp.OCSPCertStatus.REVOKED:
            revoked["revocation_time"] = now
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=leaf.certificate,
                issuer=self.certificate,
                algorithm=hashes.SHA1(),
                cert_status=status,
                this_update=now - datetime.timedelta(days=2),
                next_update=now + datetime.timedelta(hours=hours),
                **revoked,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
            .sign(self.key, hashes.SHA256())
        )
        path = self.directory / ("staple-%s-%d.der" % (status.name, hours))
        path.write_bytes(response.public_bytes(serialization.Encoding.DER))
        return str(path)

    def server_context(self, leaf):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.chain, leaf.key)
        return context

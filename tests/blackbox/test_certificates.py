"""Certificates with faults: the warnings, what clients get, and what the operator sees."""

import ssl
import subprocess
import time

import pytest
import yaml

from harness import weir as h
from harness.certs import Authority, Leaf
from harness.tools import s_client


def listener(*leaves, **extra):
    return {"tls": dict(certificates=[leaf.conf() for leaf in leaves], **extra)}


def leaf_of(ca, tmp_path, leaf, *pems, name="chain"):
    """`leaf` with another chain file."""
    path = tmp_path / (name + ".pem")
    path.write_bytes(b"".join(pems))
    return Leaf(leaf.certificate, path, leaf.key)


def pem(certificate):
    return ssl.DER_cert_to_PEM_cert(certificate).encode()


def chain_sent(w, sni="wiki.example"):
    out = s_client(w.address(), "-servername", sni, "-showcerts", check=False).stdout
    parts = out.split("-----BEGIN CERTIFICATE-----")[1:]
    return [
        ssl.PEM_cert_to_DER_cert("-----BEGIN CERTIFICATE-----" + p.split("-----END")[0] + "-----END CERTIFICATE-----")
        for p in parts
    ]


# --- time --------------------------------------------------------------------------------------------


def test_an_expired_certificate_does_not_block_a_start(weir, upstream, ca, leaf):
    old = ca.leaf("old.example", days=-1)
    w = weir(upstream(), listener=listener(leaf, old))
    assert w.get().status == 200
    assert "old.example" in w.log and "expired on" in w.log


def test_an_expired_certificate_does_not_block_reload(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=listener(leaf))
    config = dict(w.config)
    config["listeners"][0]["tls"]["certificates"].append(ca.leaf("old.example", days=-1).conf())
    w.reload(config)
    assert "expired on" in w.log
    assert w.get().status == 200


def test_a_certificate_that_expires_while_weir_runs_is_logged(weir, upstream, ca, leaf):
    short = ca.leaf("short.example", seconds=8)
    w = weir(upstream(), listener=listener(leaf, short))
    w.wait_for_log('certificate_expired listener=main certificate=".*short.example', timeout=20)
    config = dict(w.config)
    config["listeners"][0]["server_name"] = "still-reloads"
    w.reload(config)
    assert w.get().fields.get("Server") == "still-reloads"


def test_a_certificate_that_is_not_valid_yet_is_a_warning(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=listener(leaf, ca.leaf("new.example", days=20, begins=10)))
    assert "is not valid before" in w.log
    assert w.get().status == 200


def test_an_expired_authority_is_a_warning(weir, upstream, ca, leaf, tmp_path):
    old = Authority(tmp_path, name="old CA", days=-1)
    both = tmp_path / "both.pem"
    both.write_bytes(ca.pem + old.pem)
    up = upstream(tls=True)
    w = weir(
        up,
        listener=listener(leaf, client_certificate={"mode": "optional", "ca": str(both)}),
        group={"tls": {"ca": str(both), "server_name": "wiki.example"}},
    )
    assert w.log.count("expired on") >= 1 and "old CA" in w.log
    assert w.get().status == 200


def test_an_expired_intermediate_is_a_warning(weir, upstream, ca, leaf, tmp_path):
    middle = ca.intermediate(tmp_path, "old middle", days=-1)
    w = weir(upstream(), listener=listener(middle.leaf("wiki.example")))
    assert "the issuing certificate" in w.log and "expired on" in w.log


def test_check_warns_of_an_expired_certificate_and_succeeds(ca, leaf, tmp_path):
    config = tmp_path / "weir.yaml"
    tree = {
        "listeners": [dict(name="main", bind=["127.0.0.1:0"], group="g", **listener(leaf, ca.leaf("old.example", days=-1)))],
        "groups": {"g": {"endpoints": ["127.0.0.1:1"]}},
    }
    config.write_text(yaml.safe_dump(tree))
    done = h.run("check", "-c", config)
    assert done.returncode == 0
    assert "expired on" in done.stderr


def test_a_key_of_another_certificate_stays_an_error(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=listener(leaf))
    config = dict(w.config)
    config["listeners"][0]["tls"]["certificates"][0]["key"] = ca.leaf("other.example").key
    w.reload(config, good=False)
    assert "does not belong to the certificate" in w.log
    assert w.get().status == 200


def test_the_end_of_every_certificate_is_a_metric(weir, upstream, ca, leaf):
    old = ca.leaf("old.example", days=-1)
    w = weir(upstream(), listener=listener(leaf, old))
    ends = {labels["certificate"]: value for labels, value in w.metrics().family("weir_certificate_expires_timestamp_seconds")}
    for one in (leaf, old):
        expected = one.certificate.not_valid_after
        assert abs(ends[one.chain] - (expected - type(expected)(1970, 1, 1)).total_seconds()) < 1
    assert ends[old.chain] < time.time()
    assert all(l["listener"] == "main" for l, _ in w.metrics().family("weir_certificate_expires_timestamp_seconds"))


# --- chains ------------------------------------------------------------------------------------------


def test_a_cross_signed_intermediate_is_accepted_and_sent(weir, upstream, ca, other_ca, tmp_path):
    middle = ca.intermediate(tmp_path, "middle")
    crossed = middle.signed_by(other_ca)
    one = middle.leaf("wiki.example")
    leaf = leaf_of(ca, tmp_path, one, pem(one.der), middle.pem, crossed)
    w = weir(upstream(), listener=listener(leaf))
    assert "several certificates are for" in w.log
    assert chain_sent(w) == [one.der, ssl.PEM_cert_to_DER_cert(middle.pem.decode()), ssl.PEM_cert_to_DER_cert(crossed.decode())]
    assert w.get().status == 200


def test_a_repeated_certificate_is_sent_once(weir, upstream, ca, leaf, tmp_path):
    twice = leaf_of(ca, tmp_path, leaf, pem(leaf.der), pem(leaf.der), ca.pem, ca.pem)
    w = weir(upstream(), listener=listener(twice))
    assert "repeats certificate 1" in w.log
    assert chain_sent(w) == [leaf.der, ssl.PEM_cert_to_DER_cert(ca.pem.decode())]


def test_a_chain_in_any_order_is_sent_in_order(weir, upstream, ca, tmp_path):
    middle = ca.intermediate(tmp_path, "middle")
    one = middle.leaf("wiki.example")
    w = weir(upstream(), listener=listener(leaf_of(ca, tmp_path, one, pem(one.der), ca.pem, middle.pem)))
    assert "not in order" in w.log
    assert chain_sent(w) == [one.der] + [ssl.PEM_cert_to_DER_cert(p.decode()) for p in (middle.pem, ca.pem)]


def test_a_certificate_that_issued_nothing_is_not_sent(weir, upstream, ca, other_ca, leaf, tmp_path):
    w = weir(upstream(), listener=listener(leaf_of(ca, tmp_path, leaf, pem(leaf.der), other_ca.pem, ca.pem)))
    assert "is not sent" in w.log
    assert chain_sent(w) == [leaf.der, ssl.PEM_cert_to_DER_cert(ca.pem.decode())]


# --- names -------------------------------------------------------------------------------------------


def names_refused(w, context, sni):
    try:
        with w.connect(tls=context, sni=sni) as client:
            return client.request().status
    except ssl.SSLError as error:
        return error.reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls1.2", "tls1.3"])
def test_unknown_names_can_be_refused(weir, upstream, ca, leaf, version):
    hosts = [{"name": "listed.example"}]
    w = weir(upstream(), listener=listener(leaf, unknown_sni="reject", hosts=hosts))
    context = ca.client_context(minimum=version, maximum=version)
    context.check_hostname = False
    for known in ("wiki.example", "DE.wiki.example", "listed.example", None):
        assert names_refused(w, context, known) == 200
    for unknown in ("nobody.example", "a.b.wiki.example", "example"):
        assert "UNRECOGNIZED_NAME" in names_refused(w, context, unknown)
    w.wait_for_reason("unknown_sni", 3)


def test_unknown_names_get_the_first_certificate_by_default(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=listener(leaf))
    context = ca.client_context()
    context.check_hostname = False
    assert names_refused(w, context, "nobody.example") == 200


# --- groups ------------------------------------------------------------------------------------------


def group_agreed(w, groups):
    out = s_client(w.address(), "-servername", "wiki.example", "-groups", groups, check=False)
    return "Cipher is (NONE)" not in out.stdout and "New, " in out.stdout


@pytest.mark.parametrize("groups, agreed", [("X25519", True), ("P-256", True), ("P-384", True), ("ffdhe8192", False)])
def test_groups_that_cost_servers_much_are_not_offered(weir, upstream, groups, agreed):
    assert group_agreed(weir(upstream(), tls=True), groups) == agreed


def test_the_post_quantum_group_comes_first_where_openssl_has_it(weir, upstream, ca):
    known = subprocess.run(["openssl", "list", "-kem-algorithms"], stdout=subprocess.PIPE, universal_newlines=True).stdout
    if "X25519MLKEM768" not in known:
        pytest.skip("this OpenSSL has no X25519MLKEM768")
    w = weir(upstream(), tls=True)
    out = s_client(w.address(), "-servername", "wiki.example", "-CAfile", ca.file).stdout
    assert "X25519MLKEM768" in out

"""Fixtures: `weir` and `upstream` start things that end with the test; `ca` and `certs` last a session."""

import copy
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import certs as certs_module  # noqa: E402
from harness import origin, ports  # noqa: E402
from harness.weir import Weir  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test prints the log of every weir it had."""
    report = (yield).get_result()
    if report.failed:
        for weir in getattr(item, "weirs", []):
            report.sections.append(("weir.yaml", weir.config_file.read_text()))
            report.sections.append(("weir's log", weir.log[-20000:]))


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return certs_module.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def other_ca(tmp_path_factory):
    """An authority that no client trusts."""
    return certs_module.Authority(tmp_path_factory.mktemp("other-ca"), name="unknown CA")


@pytest.fixture(scope="session")
def leaf(ca):
    """The everyday certificate."""
    return ca.leaf("wiki.example", "*.wiki.example", "localhost", "127.0.0.1")


@pytest.fixture
def upstream(tmp_path, ca, leaf):
    """upstream(handler=respond()): a scripted origin; tls=True or an SSLContext; unix=True for a socket."""
    started = []

    def start(handler=None, tls=None, unix=None, **options):
        if tls is True:
            tls = ca.server_context(leaf)
        if unix is True:
            unix = str(tmp_path / ("origin-%d.sock" % len(started)))
        started.append(origin.Origin(handler, tls=tls, unix=unix, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
    for one in started:
        assert not one.broken, "weir sent an upstream something that is not HTTP/1.1"


def merge(base, extra):
    """`extra` over `base`, maps inside maps included; None takes a key out."""
    merged = copy.deepcopy(base)
    for key, value in (extra or {}).items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def group_conf(target, ca=None, extra=None):
    """A group of one or several Origins (or "host:port" texts)."""
    targets = target if isinstance(target, (list, tuple)) else [target]
    conf = {"endpoints": [getattr(t, "address", t) for t in targets]}
    if any(getattr(t, "tls", None) for t in targets):
        conf["tls"] = {"ca": ca.file, "server_name": "wiki.example"}
    return merge(conf, extra)


@pytest.fixture
def weir(request, tmp_path, ca, leaf):
    """weir(upstream): an instance with one listener "main" that sends everything to one group "backend".

    tls=True          the listener does TLS with the everyday certificate
    trusted=True      clients on loopback are trusted proxies
    listener=, group= merged into the listener's and the group's configuration
    top=              merged into the whole
    config=           a whole configuration (dict or text) instead of all this
    """
    started = []
    request.node.weirs = started

    def start(target=None, tls=False, trusted=False, listener=None, group=None, top=None, config=None, ready=True):
        directory = tmp_path / ("weir-%d" % len(started))
        directory.mkdir()
        if config is None:
            config = simple(directory, target, tls, trusted, listener, group, top)
        elif isinstance(config, dict):
            config = merge(surroundings(directory), config)
        one = Weir(directory, config, ready=False)
        one.ca = ca
        started.append(one)
        if ready:
            one.wait_until_ready()
        return one

    def surroundings(directory):
        # WEIR_SECCOMP=1: every test runs under the filter
        return {
            "seccomp": bool(os.environ.get("WEIR_SECCOMP")),
            "admin": {"bind": "127.0.0.1:%d" % ports.free_port()},
            "access_log": {"path": str(directory / "access.log")},
            "drain_timeout": "3s",
            "workers": 2,
        }

    def simple(directory, target, tls, trusted, listener, group, top):
        main = {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "group": "backend"}
        if tls:
            main["tls"] = {"certificates": [leaf.conf()]}
        if trusted:
            main["trusted_proxies"] = ["127.0.0.0/8"]
        whole = dict(surroundings(directory))
        whole["listeners"] = [merge(main, listener)]
        whole["groups"] = {"backend": group_conf(target, ca, group)}
        return merge(whole, top)

    start.surroundings = surroundings
    yield start
    failures = []
    for one in started:
        try:
            one.stop()
        except AssertionError as error:
            failures.append("%s\n--- weir's log\n%s" % (error, one.log[-20000:]))
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)

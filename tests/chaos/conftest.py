"""The chaos suite uses the fixtures of tests/blackbox, and endpoints that are processes of their own."""

import importlib.util
import pathlib
import sys

import pytest

BLACKBOX = pathlib.Path(__file__).resolve().parents[1] / "blackbox"
sys.path.insert(0, str(BLACKBOX))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

_spec = importlib.util.spec_from_file_location("blackbox_fixtures", BLACKBOX / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

pytest_runtest_makereport = _fixtures.pytest_runtest_makereport
ca, leaf, weir, merge = _fixtures.ca, _fixtures.leaf, _fixtures.weir, _fixtures.merge

from endpoint import Endpoint  # noqa: E402
from load import Load  # noqa: E402


@pytest.fixture
def endpoints(tmp_path):
    """endpoints(n): n running endpoints. They end with the test."""
    started = []

    def start(count):
        started.extend(Endpoint("endpoint-%d" % i) for i in range(count))
        return started

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def edge(weir):
    """edge(endpoints, group={}): weir with a plain and a TLS listener in front of one group of these endpoints."""

    def start(endpoints, **group):
        config = weir_config(endpoints, group)
        return weir(config=config)

    def weir_config(endpoints, group):
        from harness import ports

        listeners = [
            {"name": name, "bind": ["127.0.0.1:%d" % ports.free_port()], "group": "backend", "websocket": True}
            for name in ("plain", "tls")
        ]
        listeners[1]["tls"] = {"certificates": [start.leaf.conf()], "alpn": ["h2", "http/1.1"]}
        backend = {"endpoints": [one.address for one in endpoints], "timeouts": {"connect": "1s", "response": "3s"}}
        return {"listeners": listeners, "groups": {"backend": merge(backend, group)}, "drain_timeout": "5s"}

    return start


@pytest.fixture(autouse=True)
def _edge_has_a_certificate(edge, leaf):
    edge.leaf = leaf


@pytest.fixture
def load():
    """load(edge): steady traffic of all kinds through it, as a context manager; see load.py."""
    return Load

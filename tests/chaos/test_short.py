"""Ordinary events under load: the short form of the suite, a few seconds each."""

import time

import load as kinds


def test_nothing_happens(edge, endpoints, load):
    with load(edge(endpoints(2))) as steady:
        time.sleep(2)
    assert steady.failures == []


def test_reloads_lose_nothing(edge, endpoints, load):
    weir = edge(endpoints(2))
    with load(weir) as steady:
        for _ in range(10):
            weir.reload()
            time.sleep(0.1)
        steady.wait_for_progress()
    assert steady.failures == []


def test_a_group_that_changes_its_endpoints_loses_nothing(edge, endpoints, load):
    first, second = endpoints(2)
    weir = edge([first])
    with load(weir) as steady:
        for chosen in (second, first, second):
            weir.config["groups"]["backend"]["endpoints"] = [chosen.address]
            weir.reload(weir.config)
            steady.wait_for_progress()
    assert steady.failures == []


def test_killed_endpoint_costs_no_read(edge, endpoints, load):
    """Writes in flight on the endpoint are lost: the proxy cannot know whether they took effect."""
    first, second = endpoints(2)
    weir = edge([first, second], retries=2)
    with load(weir) as steady:
        first.kill()
        steady.wait_for_progress(20)
        first.start()
        steady.wait_for_progress(20)
    assert steady.of(*(set(kinds.READS) - {kinds.Download})) == []
    assert len(steady.of(kinds.Download)) <= 1, "more than the download in work was lost"
    assert len(steady.of(*kinds.WRITES)) <= 2, "more than the uploads in work were lost"
    assert len(steady.of(kinds.WebSocket)) <= 1


def test_the_load_notices_an_outage(edge, endpoints, load):
    """The suite itself: when everything is down, each kind fails, and each failure is counted."""
    (only,) = endpoints(1)
    weir = edge([only])
    with load(weir) as steady:
        only.kill()
        steady.wait_for_progress()
    for kind in kinds.ALL:
        assert steady.of(kind), "%s noticed nothing" % kind.__name__

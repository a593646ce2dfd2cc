"""Servers, gateways and whole neighbours that die or fall silent: no connection fails."""
import json
import os
import signal
import time

from cluster import check, wait
from network import GATEWAYS
from test_balance import offer
from traffic import Hold, Run


def under_load(net, name, address, fault, repair):
    """200 new connections a second from 5 s before the fault to 10 s after it: none fails."""
    interrupted = net.metric("a", "tieline_connections_interrupted_total")
    with Run(net.cluster, "load", address, rate=200, seconds=15, timeout=5, hold=100) as load:
        time.sleep(5)  # the load before the fault is part of what is measured
        open_then = held_open(net)
        began = time.monotonic()
        fault()
        record = wait("the failover is in status", lambda: failover(net, name, began), 5 + 1)
        noticed = time.monotonic() - began
        result = load.result()
    repair()
    cut = net.metric("a", "tieline_connections_interrupted_total") - interrupted
    bad = {key: value for key, value in result["endings"].items() if key not in ("done", "closed")}
    failed = max(0, sum(bad.values()) - cut)
    closed = result["endings"].get("closed", 0)  # answered, then ended by the server's own FIN
    print(f"   {result['total']} connections: {failed:g} failed, {cut:g} interrupted and {closed} closed ({open_then:g} were open at the "
          f"fault), {result['delayedOverSecond']} delayed by more than 1 s, slowest "
          f"{result['slowestMilliseconds']} ms; status named it after {noticed:.1f} s: {record}")
    check(failed <= 0, f"{failed:g} connections failed: {bad}, {cut:g} of them interrupted")
    # At 200 a second, some more were opened between the count and the fault.
    check(cut + closed <= open_then + 20, f"{cut:g} interrupted, {closed} closed, {open_then:g} were open")
    check(noticed <= 5, f"status after {noticed:.1f} s")
    expect_event(net, name, "FailedOver", record)


def held_open(net):
    return net.metric("a", "tieline_connections_active")


def failover(net, name, _):
    status = net.cluster.get("tsvc", "a", name)["status"]
    last = status.get("lastFailover")
    seen = net.seen_failovers.get(name, 0)
    if status.get("failovers", 0) > seen and last and last["from"] == "b":
        net.seen_failovers[name] = status["failovers"]
        return last
    return None


def events(net, reason, name):
    items = json.loads(net.cluster.kubectl("get", "events.events.k8s.io", "-n", "a", "-o", "json"))["items"]
    return [item for item in items if item["reason"] == reason and item["regarding"]["name"] == name]


def expect_event(net, name, reason, record):
    found = wait(f"an Event {reason}", lambda: events(net, reason, name), 5)
    texts = [item["note"] for item in found]
    check(any(record["from"] in text and record["to"] in text and record["reason"] in text for text in texts),
          f"no Event names from, to and reason: {texts}")
    check(len(texts) == len(set(texts)), f"an Event twice: {texts}")


def ready_again(net, name):
    net.cluster.wait_ready("b", "app=s", 1)
    net.cluster.wait_ready("b", GATEWAYS, 1)
    net.wait_ready("tlink", "a", "b", 60)
    net.wait_targets("a", name, {"b": 1, "d": 1}, 60)


def prepare(net, name):
    if not hasattr(net, "seen_failovers"):
        net.seen_failovers = {}
    address = offer(net, name, {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 1000})
    net.seen_failovers[name] = net.cluster.get("tsvc", "a", name)["status"].get("failovers", 0)
    return address


def test_the_preferred_server_is_killed(net):
    address = prepare(net, "over1")

    def fault():
        net.cluster.kill(net.cluster.ready_pods("b", "app=s")[0])
        net.cluster.patch("deployment", "b", "s", {"spec": {"replicas": 0}})

    def repair():
        net.cluster.patch("deployment", "b", "s", {"spec": {"replicas": 1}})
        ready_again(net, "over1")

    under_load(net, "over1", address, fault, repair)
    failback(net, "over1", address)


def failback(net, name, address):
    with Hold(net.cluster, address) as clients:
        wait("new connections go to b again", lambda: any(key.startswith("b/") for key in clients.open(1)), 10)
    wait("an Event FailedBack", lambda: events(net, "FailedBack", name), 5)


def test_the_gateway_of_the_preferred_server_is_killed(net):
    address = prepare(net, "over2")
    under_load(net, "over2", address, lambda: net.cluster.kill(net.gateways("b", 1)[0]),
               lambda: ready_again(net, "over2"))


def test_the_gateway_of_the_preferred_server_is_stopped(net):
    address = prepare(net, "over3")
    pod = net.gateways("b", 1)[0]
    pid = net.cluster.pid(pod)

    def repair():
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # its liveness probe has replaced it
        ready_again(net, "over3")

    under_load(net, "over3", address, lambda: net.cluster.signal(pod, signal.SIGSTOP), repair)


def test_clients_see_a_reset_when_their_proxy_is_killed(net):
    address = offer(net, "rst", {"b": "s"}, {("a", "b"): 1})
    with Hold(net.cluster, address) as clients:
        clients.open(20)
        net.cluster.kill(net.gateways("a", 1)[0])
        ended = wait("all clients noticed", lambda: sum((r := clients.report())["ended"].values()) == 20 and r["ended"])
    print(f"   the client's own proxy killed: {ended}")
    check(ended == {"reset": 20}, f"every client sees RST, never EOF: {ended}")
    net.gateways("a", 1)
    net.wait_ready("tlink", "a", "b", 60)


def test_rolling_the_gateways_of_either_end_fails_nothing(net):
    """A drain: new gateways are up before the old ones go, which go on accepting while kube-proxy lags."""
    address = offer(net, "rolled", {"b": "s"}, {("a", "b"): 1})
    for where in "ab":
        net.cluster.patch("tsite", where, where, {"spec": {"proxy": {"replicas": 2}}})
    try:
        for where in "ba":
            net.gateways(where, 2)
            with Run(net.cluster, "load", address, rate=100, seconds=20, timeout=5, hold=50) as load:
                net.cluster.kubectl("rollout", "restart", "-n", where, "deployment/tieline-proxy")
                net.cluster.kubectl("rollout", "status", "-n", where, "deployment/tieline-proxy", "--timeout=60s")
                result = load.result()
            print(f"   both gateways of {where} rolled under load: {result}")
            check(set(result["endings"]) == {"done"}, f"{result}")
    finally:
        for where in "ab":
            net.cluster.patch("tsite", where, where, {"spec": {"proxy": {"replicas": 1}}})
            net.gateways(where, 1)
    net.wait_ready("tlink", "a", "b")
    net.wait_ready("tlink", "a", "d")

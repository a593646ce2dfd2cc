"""Servers, gateways and whole neighbors that die or fall silent: no connection fails."""
import contextlib
import datetime
import json
import os
import signal
import time

from cluster import check, wait
from network import GATEWAYS
from test_balance import offer
from traffic import Hold, Run


RATE = 200


def under_load(net, name, address, pid, number, reasons, repair, after=None, closed=False):
    """200 new connections a second from 5 s before a signal to a process of b until 10 s after it: none fails.

    `reasons` are those that the failover may have. With `closed`, connections that had their answer may end in the server's own FIN.
    """
    pods = net.gateways("a", 1)
    interrupted = lambda: net.metric("a", "tieline_connections_interrupted_total", required=True, pods=pods)
    before, told = interrupted(), events(net, "FailedOver", name)
    try:
        # A client that has ended may wait for the server's end as long as its stream for a way back: 10 s, where nothing else is said.
        with Run(net.cluster, "load", address, rate=RATE, seconds=60, timeout=15, hold=100) as load:
            wait("5 s of load", lambda: load.ask("report")["seconds"] >= 5, 30)
            struck = time.time()
            fault = load.ask(f"signal {pid} {int(number)}")
            check(owners(fault["servers"]) == {"b"}, f"all are served by b before the fault: {fault}")
            if after:
                after()
            record = wait("the failover is in status", lambda: failover(net, name))
            noticed = time.time() - struck
            event = wait("one Event FailedOver more", lambda: more(net, name, told))
            wait("10 s of load after the fault", lambda: load.ask("report")["seconds"] >= fault["seconds"] + 10, 30)
            result = load.stop()
        cut = interrupted() - before
        late = more(net, name, told)
    finally:
        repair()
    report(fault, result, cut, record, noticed)
    expect_nothing_failed(fault, result, cut, closed)
    check(result["slowestMilliseconds"] < 5000, f"every answer came within 5 s: {result}")
    check(owners(result["servers"]) == {"b", "d"}, f"d serves after the fault: {result}")
    known = [("d", "b", "Failback"), *(("b", "d", reason) for reason in reasons)]
    check((record["from"], record["to"], record["reason"]) in known, f"from b to d, one of {reasons}, or back already: {record}")
    check(any(event["note"].startswith(f"b to d, {reason}: ") for reason in reasons),
          f"the Event names from, to and one of {reasons}: {event['note']}")
    # By the controller's clock: when this test hears of it is another matter.
    took = moment(event["eventTime"]) - struck
    check(-0.1 <= took <= 5, f"the Event is of {took:.1f} s after the fault")
    check(late["metadata"]["name"] == event["metadata"]["name"], f"one Event, once: {late['note']}")


def expect_nothing_failed(fault, result, cut, closed):
    """Every connection had its answer and was closed by its client, but for those that the ingress says it had to cut."""
    bad = {key: value for key, value in result["endings"].items() if key != "done"}
    # By the server's own FIN: after its answer, or killed between the question, which cannot be asked twice, and the answer.
    ended = bad.pop("closed", 0) + bad.pop("end", 0)
    check(set(bad) <= {"reset"}, f"connections failed: {bad}")
    check(bad.get("reset", 0) <= cut, f"{bad} were reset, only {cut:g} of them were interrupted")
    check(cut + ended <= fault["open"], f"{cut:g} interrupted, {ended} ended, {fault['open']} were open at the fault")
    check(closed or not ended, f"{ended} were ended by a FIN that no server sent")


def report(fault, result, cut, record, noticed):
    print(f"   {result['total']} connections: {result['endings']}, {cut:g} interrupted of {fault['open']} that were open at the "
          f"fault, {result['delayedOverSecond']} delayed by more than 1 s, slowest {result['slowestMilliseconds']} ms; "
          f"by server {result['servers']}; status named it after {noticed:.1f} s: {record}")


def owners(servers):
    return {name.split("/")[0] for name in servers}


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def failover(net, name):
    """The last entry once one failover more is counted; the failback's if the gateway is back so soon."""
    status = net.cluster.get("tsvc", "a", name)["status"]
    if status.get("failovers", 0) <= net.seen_failovers.get(name, 0):
        return None
    net.seen_failovers[name] = status["failovers"]
    return status["lastFailover"]


def events(net, reason, name):
    items = json.loads(net.cluster.kubectl("get", "events.events.k8s.io", "-n", "a", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items
            if item["reason"] == reason and item["regarding"]["name"] == name}


def more(net, name, told):
    """The one Event FailedOver that was not there before; None while there is none."""
    now = events(net, "FailedOver", name)
    new = [item for key, item in now.items() if key not in told]
    check(len(new) <= 1 and told.keys() <= now.keys(), f"one Event more, not {[item['note'] for item in new]}")
    check(not any(item.get("series") or item.get("deprecatedCount", 1) > 1 for item in new), f"an Event twice: {new}")
    return new[0] if new else None


def ready_again(net, name):
    net.cluster.wait_ready("b", "app=s", 1)
    net.cluster.wait_ready("b", GATEWAYS, 1)
    net.wait_ready("tlink", "a", "b", 60)
    net.wait_targets("a", name, {"b": 1, "d": 1}, 60)


@contextlib.contextmanager
def grace(net, text):
    """How long open connections wait for a way back to b: they are reset before their clients give up."""
    def set_grace(value):
        net.cluster.patch("tlink", "a", "b", {"spec": {"resumeGrace": value}})
        net.wait_ready("tlink", "a", "b", 60)

    set_grace(text)
    try:
        yield
    finally:
        set_grace(None)


def prepare(net, name):
    if not hasattr(net, "seen_failovers"):
        net.seen_failovers = {}
    address = offer(net, name, {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 1000})
    net.seen_failovers[name] = net.cluster.get("tsvc", "a", name)["status"].get("failovers", 0)
    return address


def test_the_preferred_server_is_killed(net):
    address = prepare(net, "over1")
    pod = net.cluster.ready_pods("b", "app=s")[0]

    def repair():
        net.cluster.patch("deployment", "b", "s", {"spec": {"replicas": 1}})
        ready_again(net, "over1")

    back = events(net, "FailedBack", "over1")
    # A gateway of `a` may hear that `b` has no endpoint left before a connect of its own is refused.
    with net.cluster.patch_at_once("deployment", "b", "s") as patch:
        # Before its container has started again and is ready, which would be a failback already.
        under_load(net, "over1", address, net.cluster.pid(pod), signal.SIGKILL, {"ConnectRefused", "NoEndpoints"}, repair,
                   lambda: patch({"spec": {"replicas": 0}}), closed=True)
    failback(net, "over1", address, back)


def failback(net, name, address, before):
    with Hold(net.cluster, address) as clients:
        wait("new connections go to b again", lambda: any(key.startswith("b/") for key in clients.open(1)))
    now = wait("an Event FailedBack", lambda: (now := events(net, "FailedBack", name)).keys() - before.keys() and now)
    notes = [item["note"] for key, item in now.items() if key not in before]
    check(len(notes) == 1 and notes[0].startswith("d to b: "), f"one Event FailedBack, from d to b: {notes}")


def test_the_gateway_of_the_preferred_server_is_killed(net):
    address = prepare(net, "over2")
    # Its container starts again, and says that the one before has ended: nobody waits for that one.
    under_load(net, "over2", address, net.cluster.pid(net.gateways("b", 1)[0]), signal.SIGKILL, {"LinkLost"},
               lambda: ready_again(net, "over2"))


def test_the_gateway_of_the_preferred_server_is_stopped(net):
    address = prepare(net, "over3")
    pid = net.cluster.pid(net.gateways("b", 1)[0])

    def repair():
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # its liveness probe has replaced it
        ready_again(net, "over3")

    with grace(net, "2s"):
        under_load(net, "over3", address, pid, signal.SIGSTOP, {"LinkLost"}, repair)


def test_clients_see_a_reset_when_their_proxy_is_killed(net):
    address = offer(net, "rst", {"b": "s"}, {("a", "b"): 1})
    with Hold(net.cluster, address) as clients:
        clients.open(20)
        net.cluster.kill(net.gateways("a", 1)[0])
        ended = wait("all clients noticed", lambda: sum((r := clients.report())["ended"].values()) == 20 and r["ended"])
    net.gateways("a", 1)
    net.wait_ready("tlink", "a", "b", 60)
    print(f"   the client's own proxy killed: {ended}")
    check(ended == {"reset": 20}, f"every client sees RST, never EOF: {ended}")


def test_rolling_the_gateways_of_either_end_fails_nothing(net):
    """A drain: new gateways are up before the old ones go, which go on accepting while kube-proxy lags."""
    address = offer(net, "rolled", {"b": "s"}, {("a", "b"): 1})
    for where in "ab":
        net.cluster.patch("tsite", where, where, {"spec": {"proxy": {"replicas": 2}}})
    try:
        for where in "ba":
            net.gateways(where, 2)
            with Run(net.cluster, "load", address, rate=100, seconds=120, timeout=5, hold=50) as load:
                wait("a second of load", lambda: load.ask("report")["seconds"] >= 1)
                old = {pod["metadata"]["name"] for pod in net.gateways(where, 2)}
                net.cluster.kubectl("rollout", "restart", "-n", where, "deployment/tieline-proxy")
                net.cluster.kubectl("rollout", "status", "-n", where, "deployment/tieline-proxy", "--timeout=100s", timeout=110)
                wait("the old gateways are gone", lambda: not old & {
                    pod["metadata"]["name"] for pod in net.cluster.pods(where, GATEWAYS, terminating=True)}, 60)
                result = load.stop()
            print(f"   both gateways of {where} rolled under load: {result}")
            check(set(result["endings"]) == {"done"}, f"{result}")
    finally:
        for where in "ab":
            net.cluster.patch("tsite", where, where, {"spec": {"proxy": {"replicas": 1}}})
            net.gateways(where, 1)
    net.wait_ready("tlink", "a", "b")
    net.wait_ready("tlink", "a", "d")

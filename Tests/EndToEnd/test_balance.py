"""Exactness: the right column of the table of what the peers do, and the same over several proxies of a site."""
import contextlib
import os
import time

from cluster import BIN, check, wait
from network import GATEWAYS, client_with_sidecar, expect_close, server, service
from traffic import Hold, Run, expect_more, grouped


def prepare(net):
    """Links a-b, b-c, a-d and one server at each site (two more at a), once."""
    if getattr(net, "prepared", False):
        return
    for where in "abcd":
        net.cluster.apply(server(where, "s"))
    net.cluster.apply(server("a", "pair", replicas=2))
    for where in "abcd":
        net.cluster.wait_ready(where, "app=s", 1)
    net.cluster.wait_ready("a", "app=pair", 2)
    net.link("a", "b")
    net.link("b", "c")
    net.link("a", "d")
    net.prepared = True


def offer(net, name, servers, costs=None):
    """A service served at `servers` ({site: app}), entered at site a, with the links' costs; waits for its targets."""
    prepare(net)
    for (source, target), cost in (costs or {}).items():
        net.set_cost(source, target, cost)
    endpoints = {}
    for where, app in servers.items():
        net.cluster.apply(service(where, name, selector=app, listen=where == "a"))
        endpoints[where] = 2 if app == "pair" else 1
    if "a" not in servers:
        net.cluster.apply(service("a", name))
    net.wait_targets("a", name, endpoints)
    return net.answering("a", name)


def held(net, address, count, by=1):
    with Hold(net.cluster, address) as clients:
        return grouped(clients.open(count, by), "abcd")


def test_backup_at_9999_gets_nothing_while_the_local_server_lives(net):
    address = offer(net, "row1", {"a": "s", "b": "s"}, {("a", "b"): 9999})
    counts = held(net, address, 320)
    print(f"   local + backup at 9999, 320 held: {counts}")
    check(counts["a"] == 320, f"all 320 belong at a: {counts}")


def test_backup_at_9999_gets_nothing_while_the_remote_server_lives(net):
    address = offer(net, "row2", {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 9999})
    counts = held(net, address, 560)
    print(f"   remote at 1 + backup at 9999, 560 held: {counts}")
    check(counts["b"] == 560, f"all 560 belong at b: {counts}")


def test_two_local_pods_and_a_remote_one(net):
    address = offer(net, "row3", {"a": "pair", "b": "s"}, {("a", "b"): 1})
    with Hold(net.cluster, address) as clients:
        by_pod = clients.open(40)
    counts = sorted(by_pod.values(), reverse=True)
    remote = grouped(by_pod, "ab")["b"]
    print(f"   2 local pods + remote at 1, 40 held: {by_pod}")
    check(counts == [14, 13, 13] and remote == 13, f"expected 14 / 13 and 13 remote: {by_pod}")


def test_chain_and_branch(net):
    address = offer(net, "row4", {"b": "s", "c": "s", "d": "s"},
                    {("a", "b"): 1, ("b", "c"): 1, ("a", "d"): 1})
    held(net, address, 1)  # with the one of `offer`: b and d were picked once each, in the order of their IDs
    counts = held(net, address, 60)
    print(f"   chain a-b-c plus a-d, 60 held: {counts}")
    first, second = sorted("bd", key=lambda name: net.ids[name])
    check(counts["c"] == 19 and counts[first] == 21 and counts[second] == 20,
          f"expected c 19, {first} 21, {second} 20: {counts}")


def exact(net, label):
    address = offer(net, "row7", {"a": "s", "b": "s"}, {("a", "b"): 50})
    for count in (20, 50, 101, 460, 480, 500):
        counts = held(net, address, count)
        print(f"   {label}, d = 50, N = {count}: {counts}")
        expect_close(f"{label} N={count}", count, counts, "a", "b", 50)


def test_cost_difference_of_50_with_one_loop(net):
    prepare(net)
    set_loops(net, 1)
    exact(net, "1 loop")


def test_cost_difference_of_50_with_two_loops(net):
    prepare(net)
    set_loops(net, 2)
    exact(net, "2 loops")


def set_loops(net, loops):
    """Waits until one gateway is left, with that number of loops: the old one drains beside the new one for a while."""
    net.cluster.patch("tsite", "a", "a", {"spec": {"proxy": {"loops": loops}}})

    def wanted(spec):
        arguments = spec["containers"][0]["args"]
        return "--loops" in arguments and arguments[arguments.index("--loops") + 1] == str(loops)

    def rolled():
        return wanted(net.cluster.get("deployment", "a", "tieline-proxy")["spec"]["template"]["spec"])

    def alone():
        pods = net.cluster.pods("a", GATEWAYS, terminating=True)
        return len(pods) == 1 and wanted(pods[0]["spec"]) and pods

    wait(f"the gateways are to have {loops} loops", rolled)
    net.cluster.kubectl("rollout", "status", "-n", "a", "deployment/tieline-proxy", "--timeout=60s")
    pod = wait("one gateway is left", alone, 60)[0]
    threads = [thread_name(task) for task in os.scandir(f"/proc/{net.cluster.pid(pod)}/task")]
    running = sorted(name for name in threads if name.startswith("loop-"))
    check(running == [f"loop-{index}" for index in range(loops)], f"{loops} loops run, not {running}")
    net.wait_ready("tlink", "a", "b")
    net.wait_ready("tlink", "a", "d")


def thread_name(task):
    with open(os.path.join(task.path, "comm")) as file:
        return file.read().strip()


def test_cost_difference_of_50_with_parallel_clients_and_churn(net):
    address = offer(net, "row7", {"a": "s", "b": "s"}, {("a", "b"): 50})
    with Hold(net.cluster, address) as clients:
        counts = grouped(clients.open(500, by=50), "ab")
        print(f"   50 parallel clients, N = 500: {counts}")
        expect_close("parallel", 500, counts, "a", "b", 50)
        clients.ask("close 250 20261122")
        wait("the gateway has 250 left", lambda: net.metric("a", "tieline_connections_active") == 250)
        counts = grouped(clients.open(250, by=50), "ab")
        print(f"   a random half closed (seed 20261122) and re-opened: {counts}")
        expect_close("churn", 500, counts, "a", "b", 50)


def test_trickle_over_two_equal_sites(net):
    address = offer(net, "trickle", {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 1})
    with Run(net.cluster, "load", address, rate=5, seconds=4) as load:
        counts = grouped(load.result()["servers"], "bd")
    print(f"   20 short connections 200 ms apart: {counts}")
    check(counts == {"b": 10, "d": 10}, f"expected 10 / 10: {counts}")


def test_columns_agree(net):
    """What people read of connections is the same in `kubectl get`, `tieline status`, status and metrics."""
    address = offer(net, "columns", {"a": "s", "b": "s"}, {("a", "b"): 4})

    def columns():
        status = net.cluster.get("tsvc", "a", "columns")["status"]
        told = {target["site"]: target["connections"] for target in status["targets"]}
        row = net.cluster.kubectl("get", "tsvc", "columns", "-n", "a", "--no-headers", "-o",
                                  "custom-columns=:.status.connections.active").split()
        report = net.cluster.run([str(BIN / "tieline"), "status", "-n", "a"])
        # The rows of further targets begin with a ditto mark; CONNS is the third column from the end.
        lines = report.splitlines()
        first = next(index for index, line in enumerate(lines) if line.split()[:1] == ["a/columns"])
        printed = {line.split()[2]: int(line.split()[-3]) for line in lines[first:first + 2]}
        metrics = {site: net.metric("a", "tieline_service_connections", labels=['service="columns"', f'remote_site="{site}"']) for site in "ab"}
        active = net.metric("a", "tieline_connections_active", labels=['service="columns"'])
        return {"targets": told, "tieline status": printed, "metrics": metrics, "open": status["connections"]["active"],
                "kubectl get": int(row[0]), "active": active}

    def agree(held):
        expected = {"a": held.get("a", 0), "b": held.get("b", 0)}
        total = sum(expected.values())
        return lambda: columns() == {"targets": expected, "tieline status": expected, "metrics": expected, "open": total,
                                     "kubectl get": total, "active": total} or columns()

    with Hold(net.cluster, address) as clients:
        counts = grouped(clients.open(30), "ab")
        wait("all columns say what is held", lambda: agree(counts)() is True, 40, every=0.3)
    wait("all columns say that nothing is", lambda: agree({})() is True, 40, every=0.3)
    print(f"   30 held: {counts} in every column, and none afterwards")


def evenly(net, label, clients, k):
    """N = 500 opened evenly over all at 100 a second, looked at all the while; then 50 one by one."""
    worst, looks = 0, [(time.monotonic(), 0)]
    before = [client.report() for client in clients]
    share = [500 // k + (1 if index < 500 % k else 0) for index in range(k)]
    for client, count in zip(clients, share):
        client.tell(f"open {count} at {100 / k}")
    deadline = time.monotonic() + 60
    while True:
        for client in clients:
            client.tell("report")
        counts = total([client.answer()["open"] for client in clients])
        off = distance(counts)
        worst = max(worst, off)
        looks.append((time.monotonic(), sum(counts.values())))
        check(off <= k + burst(looks), f"{label} while opening: {counts}, off by {off}, {burst(looks)} came within 100 ms")
        if sum(counts.values()) == 500:
            break
        check(time.monotonic() < deadline, f"{label}: only {counts} are open")
        time.sleep(0.02)  # between two looks
    for client, was, count in zip(clients, before, share):
        expect_more(was, client.answer(), count)  # the answer to `open`
    check(len(looks) > 20, f"{label}: only {len(looks)} looks while opening")
    time.sleep(1)  # the pause that the promise allows for an exchange of counts
    # What proxies that opened at the same moment left uneven is made up for by each pick that follows.
    before = distance(counts)
    for index in range(50):
        clients[index % k].open(1)
        time.sleep(0.2)  # "one by one, 200 ms apart" is the load itself
        reports = [client.report()["open"] for client in clients]
        off = distance(total(reports))
        check(off <= max(k, before - 1), f"{label} one by one: {total(reports)}, off by {off} after {before}")
        before = off
    print(f"   {label}: N = 500 {counts}, worst {worst} while opening ({len(looks)} looks); then 50 one by one: {total(reports)}")


def burst(looks):
    """The most connections that came within 100 ms, of the last half second: 10, or what a machine that stood still let come at once."""
    now, most = looks[-1][0], 10
    for place, (at, count) in enumerate(looks):
        if at >= now - 0.5:
            before = max((was for when, was in looks[:place] if when <= at - 0.1), default=0)
            most = max(most, count - before)
    return most


def total(reports):
    counts = {"a": 0, "b": 0}
    for report in reports:
        for key, value in grouped(report, "ab").items():
            counts[key] += value
    return counts


def distance(counts):
    both = counts["a"] + counts["b"]
    return counts["b"] if both <= 50 else abs(counts["a"] - counts["b"] - 50)


def test_two_gateway_replicas(net):
    offer(net, "row7", {"a": "s", "b": "s"}, {("a", "b"): 50})
    net.cluster.patch("tsite", "a", "a", {"spec": {"proxy": {"replicas": 2}}})
    try:
        pods = net.gateways("a", 2)
        net.wait_ready("tlink", "a", "b")
        net.wait_targets("a", "row7", {"a": 1, "b": 1})
        port = net.cluster.get("service", "a", "row7")["spec"]["ports"][0]["targetPort"]
        addresses = [f"{pod['status']['podIP']}:{port}" for pod in pods]
        with Hold(net.cluster, addresses[0]) as one, Hold(net.cluster, addresses[1]) as two:
            evenly(net, "2 gateways", [one, two], 2)
    finally:
        net.cluster.patch("tsite", "a", "a", {"spec": {"proxy": {"replicas": 1}}})
        net.gateways("a", 1)


def test_three_sidecars(net):
    offer(net, "row7", {"a": "s", "b": "s"}, {("a", "b"): 50})
    with contextlib.ExitStack() as stack:
        stack.enter_context(net.cluster.applied(client_with_sidecar("a", "client", {"row7/tcp": 9000}, replicas=3)))
        pods = net.cluster.wait_ready("a", "app=client", 3)
        names = [f"a/{pod['metadata']['name']}" for pod in pods]
        clients = [stack.enter_context(Hold(net.cluster, "127.0.0.1:9000", pod=name)) for name in names]
        evenly(net, "3 sidecars", clients, 3)

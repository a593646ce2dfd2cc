"""P3: what a cluster with IPv6 alone, and one with both families, must do as one with IPv4 does."""
import ipaddress

from cluster import check, wait
from network import client_with_sidecar, expect_close, namespace, server, service
from traffic import Hold, Run, grouped

FAMILIES = {"ipv6": ["IPv6"], "dual": ["IPv4", "IPv6"]}


def families(net):
    return FAMILIES[net.cluster.families]


def family(address):
    return f"IPv{ipaddress.ip_address(address).version}"


def prepare(net):
    """A service with a server at a and one at b, which is linked to at its load balancer's addresses; once."""
    if getattr(net, "prepared", False):
        return
    net.cluster.patch("tsite", "b", "b", {"spec": {"linkAccess": {"type": "LoadBalancer"}}})
    hosts = wait("b advertises an address of each family", lambda: len(found := [
        entry["host"] for entry in net.cluster.get("tsite", "b", "b")["status"].get("endpoints", [])]) == len(families(net))
        and ":" in found[-1] and found)
    check([family(host) for host in hosts] == families(net), f"b is reached at {hosts}")
    net.cluster.apply(*[server(where, "s") for where in "ab"], service("b", "web", selector="s", listen=False),
                      service("a", "web", selector="s"))
    net.link("a", "b")
    net.cluster.wait_ready("b", "app=s", 1)
    net.wait_targets("a", "web", {"a": 1, "b": 1})
    net.prepared = True


def test_servers_here_and_there_are_reached_at_every_address(net):
    prepare(net)
    addresses = net.addresses("a", "web")
    check([family(address.rsplit(":", 1)[0].strip("[]")) for address in addresses] == families(net), f"a listens at {addresses}")
    for address in addresses:
        net.wait_answer(address)
        with Hold(net.cluster, address) as clients:
            counts = grouped(clients.open(20), "ab")
        print(f"   20 held at {address}: {counts}")
        expect_close(address, 20, counts, "a", "b", 1)


def test_a_pod_is_one_server_however_many_families_it_has(net):
    prepare(net)
    selecting = [item["metadata"]["name"] for item in net.cluster.get("services", "a")["items"]
                 if item["metadata"]["name"].startswith("web-tl-")]
    check(len(selecting) == 1, f"{selecting}")
    # As an administrator's policy may do to every core Service.
    net.cluster.patch("service", "a", selecting[0], {"spec": {"ipFamilyPolicy": "PreferDualStack"}})
    wait("the pod is in a slice of each family", lambda: slices(net, "a", selecting[0]) == {name: 1 for name in families(net)})
    # The gateways hear of it at the same time as we: what they make of it is seen by a change that comes after it.
    net.cluster.patch("deployment", "a", "s", {"spec": {"replicas": 2}})
    net.wait_targets("a", "web", {"a": 2, "b": 1})
    net.cluster.patch("deployment", "a", "s", {"spec": {"replicas": 1}})
    net.wait_targets("a", "web", {"a": 1, "b": 1})


def slices(net, where, name):
    """Family -> ready endpoints of a core Service."""
    found = {}
    for item in net.cluster.get("endpointslices", where, selector=f"kubernetes.io/service-name={name}")["items"]:
        ready = [entry for entry in item["endpoints"] if entry["conditions"]["ready"]]
        found[item["addressType"]] = found.get(item["addressType"], 0) + len(ready)
    return found


def test_a_killed_server_fails_nobody(net):
    prepare(net)
    address = net.answering("a", "web")
    pid = net.cluster.pid(net.cluster.ready_pods("a", "app=s")[0])
    try:
        with Run(net.cluster, "load", address, rate=100, seconds=60, timeout=5, hold=50) as load:
            wait("a second of load", lambda: load.ask("report")["seconds"] >= 1)
            fault = load.ask(f"signal {pid} 9")
            net.cluster.patch("deployment", "a", "s", {"spec": {"replicas": 0}})
            wait("3 s of load after the fault", lambda: load.ask("report")["seconds"] >= fault["seconds"] + 3)
            result = load.stop()
    finally:
        net.cluster.patch("deployment", "a", "s", {"spec": {"replicas": 1}})
    print(f"   the local server killed under load: {result['endings']}, {fault['open']} were open; {result['servers']}")
    # The killed process' own connections end as it ends them; no other does.
    bad = {key: value for key, value in result["endings"].items() if key != "done"}
    check(set(bad) <= {"closed", "end", "reset"} and sum(bad.values()) <= fault["open"], f"connections failed: {bad}")
    check(any(name.startswith("b/") for name in result["servers"]), f"b serves after the fault: {result['servers']}")
    net.wait_targets("a", "web", {"a": 1, "b": 1})


def test_a_namespace_that_consents_has_it_at_every_address(net):
    prepare(net)
    net.cluster.apply(namespace("guest", {"team": "guest", "tieline.dev/allow-from": "a"}))
    net.cluster.patch("tsvc", "a", "web", {"spec": {"listen": {"namespaces": {"matchLabels": {"team": "guest"}}}}})
    try:
        wait("there are slices of the families that there are, and no others",
             lambda: slices(net, "guest", "web") == {name: 1 for name in families(net)})
        addresses = net.addresses("guest", "web")
        check(len(addresses) == len(families(net)), f"{addresses}")
        for address in addresses:
            net.wait_answer(address)
    finally:
        net.cluster.patch("tsvc", "a", "web", {"spec": {"listen": {"namespaces": None}}})
        net.cluster.kubectl("delete", "namespace", "guest", "--ignore-not-found", "--wait=false")


def test_a_sidecar_finds_its_gateways(net):
    prepare(net)
    with net.cluster.applied(client_with_sidecar("a", "client", {"web/tcp": 9000}, host="[::1]")):
        pod = net.cluster.wait_ready("a", "app=client", 1)[0]
        with Hold(net.cluster, "[::1]:9000", pod=f"a/{pod['metadata']['name']}") as clients:
            counts = grouped(clients.open(10), "ab")
        print(f"   10 held by a sidecar: {counts}")
        expect_close("the sidecar", 10, counts, "a", "b", 1)

"""The table of shares.py against what is counted: weights, tiers, costs and costs of single services, alone and together."""
import collections
import contextlib
import json
import socket
import subprocess

from cluster import BIN, check, condition, wait
from network import API, client_with_sidecar, service
from plain_sites import PlainSites
from shares import LINK_COSTS, SERVERS, SHARES, told
from test_balance import prepare
from test_policies import bind_names, explained
from traffic import Hold, grouped

FIRST_PORT = 7610


def test_shares_through_a_gateway_and_a_sidecar(net):
    prepare(net)
    bind_names(net)
    for other, cost in LINK_COSTS.items():
        net.set_cost("a", other, cost)
    names = {share.name: f"share-{share.name}" for share in SHARES}
    ports = {share.name: FIRST_PORT + index for index, share in enumerate(SHARES)}
    objects = [service(where, names[share.name], selector=app, listen=where == "a", **(share.spec if where == "a" else {}))
               for share in SHARES for where, app in (("a", "pair"), ("b", "s"), ("d", "s"))]
    costs = [{"address": names[share.name], "cost": share.service_cost} for share in SHARES if share.service_cost]
    net.cluster.patch("tlink", "a", "b", {"spec": {"serviceCosts": costs}})
    try:
        listens = {f"{names[name]}/tcp": port for name, port in ports.items()}
        with net.cluster.applied(*objects, client_with_sidecar("a", "shares", listens)):
            wait("each service goes by its policy", lambda: in_force(net, names), 40)
            sidecar = net.cluster.wait_ready("a", "app=shares", 1)[0]
            for share in SHARES:
                net.answering("a", names[share.name])
            pod = f"a/{sidecar['metadata']['name']}"
            wrong = []
            for label, proxy, place in (
                    ("gateway", net.gateways("a")[0], lambda name: Hold(net.cluster, net.address("a", names[name]))),
                    ("sidecar", sidecar, lambda name: Hold(net.cluster, f"127.0.0.1:{ports[name]}", pod=pod))):
                seen = {}
                for share in SHARES:
                    wait(f"the {label} counts none for {share.name}", lambda: is_idle(net, names[share.name], proxy))
                    with place(share.name) as clients:
                        seen[share.name] = grouped(clients.open(sum(share.counts.values()), by=10), "abd")
                print(f"   through a {label}:")
                wrong += told(SHARES, seen)
            check(not wrong, f"shares that are not the table's: {wrong}")
    finally:
        net.cluster.patch("tlink", "a", "b", {"spec": {"serviceCosts": None}})


def in_force(net, names):
    """Whether all gateways and sidecars go by every Service, and the sites that get anything have their servers and costs."""
    found = {item["metadata"]["name"]: item for item in net.cluster.get("tsvc", "a")["items"]}
    for share in SHARES:
        item = found[names[share.name]]
        if condition(item, "Ready") != "True" or not has_targets(share, item["status"].get("targets", [])):
            return False
    return True


def has_targets(share, targets):
    known = {one["site"]: (one["endpoints"], one.get("pathCost")) for one in targets}
    return all(known.get(site) == (SERVERS[site], share.path_costs[site]) for site, count in share.counts.items() if count)


def is_idle(net, name, pod):
    return not any(int(one["own"]) + int(one["others"]) for one in explained(net, name, pod=pod)["candidates"])


def test_shares_at_a_plain_site(_):
    links = {("a", other): cost for other, cost in LINK_COSTS.items()}
    with PlainSites("127.93.9", "a", "b", "d", links=links) as sites, contextlib.ExitStack() as stack:
        hosts = {"a": ["127.93.9.11", "127.93.9.12"], "b": [sites.address("b")], "d": [sites.address("d")]}
        for name, addresses in hosts.items():
            for address in addresses:
                stack.enter_context(serving(f"{address}:7600", name))
        called = ", ".join(f"{{siteID: {sites.ids[name]}, name: {name}}}" for name in "bd")
        sites.write("a", "site", f"kind: Site\nmetadata: {{name: a}}\nspec:\n  sites: [{called}]\n")
        costs = [{"address": share.name, "cost": share.service_cost} for share in SHARES if share.service_cost]
        sites.link("a", "b", f"  serviceCosts: {json.dumps(costs)}\n")
        for name, addresses in hosts.items():
            objects = [plain_service(share, FIRST_PORT + index, addresses, name == "a") for index, share in enumerate(SHARES)]
            sites.write(name, "services", f"---\napiVersion: {API}\n".join(objects))

        def ready():
            statuses = {share.name: sites.status("a", "service", share.name) for share in SHARES}
            return all(condition({"status": statuses[share.name]}, "Ready") == "True"
                       and has_targets(share, statuses[share.name].get("targets", [])) for share in SHARES) or None
        wait("each service goes by its policy", ready, 30)
        seen = {}
        for index, share in enumerate(SHARES):
            with contextlib.ExitStack() as clients:
                place = (sites.address("a"), FIRST_PORT + index)
                seen[share.name] = collections.Counter(served(clients, place) for _ in range(sum(share.counts.values())))
        wrong = told(SHARES, seen)
        check(not wrong, f"shares that are not the table's: {wrong}")


def plain_service(share, port, hosts, is_entry):
    spec = {"ports": [{"name": "tcp", "port": port, "targetPort": 7600}], "hosts": hosts, "listen": {"enabled": is_entry}}
    return f"kind: Service\nmetadata: {{name: {share.name}}}\nspec: {json.dumps(spec | (share.spec if is_entry else {}))}\n"


@contextlib.contextmanager
def serving(place, name):
    process = subprocess.Popen([str(BIN / "traffic"), "serve", "--listen", place, "--name", name])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def served(clients, place):
    """Who answers a client, which stays."""
    client = clients.enter_context(socket.create_connection(place, 5))
    client.sendall(b"name\n")
    answer = b""
    while not answer.endswith(b"\n"):
        part = client.recv(100)
        check(part, f"a client of {place} was not answered")
        answer += part
    return answer.decode().strip()

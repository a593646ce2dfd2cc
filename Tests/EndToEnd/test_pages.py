"""What users ask: the answers of docs/policies.md, whose manifests and commands are taken from the page and used as they stand."""
import contextlib
import os
import subprocess
import textwrap
import time

from cluster import BIN, check, condition, wait
from network import client_with_sidecar, namespace, server, service, site
from pages import blocks, commands
from traffic import Hold, grouped

PAGE = "policies.md"
# By namespace. Whatever a server is called, it begins with its namespace.
SITES = {"shop": "east", "west": "west", "north": "north", "south": "south", "dr": "dr"}


def prepare(net):
    """The network of the page, once: east has Links to west, south and dr; north is behind west; each has a server."""
    if getattr(net, "has_page", False):
        return
    net.cluster.apply(*[namespace(where) for where in SITES])
    net.cluster.apply(*[{**site(name), "metadata": {"name": name, "namespace": where}} for where, name in SITES.items()],
                      *[server(where, "backend") for where in SITES],
                      *[service(where, "backend", selector="backend", listen=False) for where in SITES if where != "shop"])
    for where, name in SITES.items():
        net.wait_ready("tsite", where, name, 90)
        net.ids[where] = net.cluster.get("tsite", where, name)["status"]["siteID"]
        net.cluster.wait_ready(where, "app=backend", 1)
    for source, target, cost in (("shop", "west", 1), ("west", "north", 4), ("shop", "south", 7), ("shop", "dr", 9)):
        net.link(source, target, cost)
    names = [{"siteID": net.ids[where], "name": name} for where, name in SITES.items() if where != "shop"]
    net.cluster.patch("tsite", "shop", "east", {"spec": {"sites": names}})
    net.has_page = True


def has(net, fragment="", servers=len(SITES)):
    """The page's Service, with these lines in its spec."""
    prepare(net)
    example = next(block for block in blocks(PAGE) if "kind: Service" in block)
    net.cluster.kubectl("apply", "-f", "-", stdin=example + textwrap.indent(fragment, "  "))
    net.wait_ready("tsvc", "shop", "backend")
    wait("all sites are known", lambda: len(net.targets("shop", "backend")) == servers)
    net.answering("shop", "backend")


def says(net, heading, number=0, servers=len(SITES)):
    """The Service, as a section of the page says."""
    fragment = blocks(PAGE, heading)[number]
    print("   " + textwrap.indent(fragment, "   ").strip())
    has(net, fragment, servers)


def clients(net):
    return Hold(net.cluster, net.address("shop", "backend"))


def held(net, count):
    with clients(net) as some:
        return grouped(some.open(count), SITES)


def usable(net):
    return {name for name, target in net.targets("shop", "backend").items() if target["state"] == "Usable"}


@contextlib.contextmanager
def without_servers(net, *places):
    names = {SITES[where] for where in places}

    def scale(replicas):
        for where in places:
            net.cluster.kubectl("scale", "-n", where, "deployment/backend", f"--replicas={replicas}")
    scale(0)
    try:
        wait(f"nothing is left at {names}", lambda: not names & usable(net))
        yield
    finally:
        scale(1)
        wait(f"there are servers at {names} again", lambda: names <= usable(net))


def start(net, command):
    """Runs a command of a page, by a shell that finds `tieline` and knows the cluster."""
    return subprocess.Popen(["bash", "-c", command], env=dict(net.cluster.env, PATH=f"{BIN}:{os.environ['PATH']}"), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(net, command):
    process = start(net, command)
    output, errors = process.communicate(timeout=60)
    check(process.returncode == 0, f"{command}: {errors}")
    return output


def test_prefer_this_sites_own_servers(net):
    has(net)
    before = held(net, 40)
    check(before["west"] > 0, f"without a policy others help: {before}")
    says(net, "Prefer this site's own servers")
    counts = held(net, 40)
    check(counts["shop"] == 40, f"all stay here: {counts}")
    with without_servers(net, "shop"):
        others = held(net, 10)
        check(others["shop"] == 0 and others["west"] > 0, f"others serve while there is none here: {others}")
    print(f"   of 40: {before} before, {counts} with it; without a server here {others} of 10")


def test_fail_over_to_a_backup(net):
    says(net, "Fail over to a backup")
    counts = held(net, 40)
    check(counts["shop"] + counts["west"] == 40, f"only the first tier is used: {counts}")
    with without_servers(net, "shop", "west"):
        backup = held(net, 10)
        check(backup["dr"] == 10, f"the backup takes all: {backup}")
    after = held(net, 10)
    check(after["dr"] == 0, f"and gives back: {after}")
    print(f"   {counts}; without the first tier {backup}; then {after}")


def test_split_three_to_one(net):
    says(net, "Split three to one")
    counts = held(net, 40)
    print(f"   {counts}")
    check((counts["west"], counts["north"]) == (30, 10), f"30 and 10 of 40, not {counts}")


def test_keep_a_region_out(net):
    has(net)
    with clients(net) as some:
        before = grouped(some.open(60), SITES)
        check(before["south"] > 0, f"it is used at first: {before}")
        says(net, "Keep a region out")
        after = grouped(some.open(30), SITES)
        check(after["south"] == before["south"], f"what is open stays, and nothing comes: {before}, then {after}")
    target = net.targets("shop", "backend")["south"]
    check((target["state"], target.get("reason")) == ("Excluded", "NoWeight"), f"status says so: {target}")
    says(net, "Keep a region out", 1)
    named = held(net, 40)
    check(named["shop"] + named["west"] == 40, f"only those that are named: {named}")
    print(f"   {before}, then 30 more: {after}; with two sites named: {named}")


def test_drain_a_site(net):
    has(net)
    with clients(net) as some:
        before = grouped(some.open(20), SITES)
        check(before["west"] > 0, f"it is used at first: {before}")
        says(net, "Drain a site")
        process = start(net, blocks(PAGE, "Drain a site")[1])
        try:
            wait("status counts what is left there", lambda: net.targets("shop", "backend")["west"]["connections"] == before["west"])
            after = grouped(some.open(20), SITES)
            check(after["west"] == before["west"], f"nothing new goes there: {before}, then {after}")
            check(process.poll() is None, f"the command waits while {after['west']} are open")
            some.ask("close all")
            began = time.monotonic()
            output, errors = process.communicate(timeout=30)
            check(process.returncode == 0, f"it ends when none is: {output} {errors}")
            print(f"   {before}, then 20 more: {after}; the command ended {time.monotonic() - began:.1f} s after the last connection")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def test_take_a_sites_rights_away(net):
    has(net)
    users = ["west", "north"]
    with contextlib.ExitStack() as stack:
        stack.callback(net.cluster.apply, *[service(where, "backend", selector="backend", listen=False) for where in users])
        for where in users:
            # They have clients instead of servers for a while.
            net.cluster.apply(service(where, "backend", fromSites=[net.ids["shop"]]))
            net.wait_ready("tsvc", where, "backend")
        held_by = {where: stack.enter_context(Hold(net.cluster, net.answering(where, "backend"))) for where in users}
        for where, some in held_by.items():
            counts = grouped(some.open(10), SITES)
            check(counts["shop"] == 10, f"east serves {where}: {counts}")
        began = time.monotonic()
        says(net, "Take a site's rights away", servers=len(SITES) - len(users))
        fates = wait("what north has open ends", lambda: sum(held_by["north"].report()["ended"].values()) == 10 and held_by["north"].last["ended"])
        took = held_by["north"].last["lastEnd"] - began
        check(set(fates) == {"reset"} and took < 5, f"reset within 5 s: {fates} after {took:.1f} s")
        check(not held_by["west"].report()["ended"], f"west keeps its own: {held_by['west'].last}")
        held_by["west"].open(5)
        held_by["north"].attempt(1)
        told = lambda: condition(net.cluster.get("tsvc", "north", "backend"), "HasTargets", "reason") == "NotAllowed"
        wait("north is told", told)
        print(f"   10 connections of north were reset {took:.1f} s after kubectl began; west's 15 are open")


def test_find_out_why_through_the_api_server(net):
    """The commands as they stand, with a kubeconfig and nothing else: the API server leads them to the Pod that is asked."""
    has(net)
    lines = [line for block in blocks(PAGE, "Find out why") for line in commands(block)]
    check({command.split()[1] for command, _ in lines} >= {"explain", "trace", "routes", "topology", "check"}, f"each is on the page: {lines}")
    with net.cluster.applied(client_with_sidecar("shop", "asking", {"backend/tcp": 7430})):
        net.cluster.wait_ready("shop", "app=asking", 1)
        for command, first in lines:
            output = run(net, command)
            print(f"   $ {command}\n   " + output.replace("\n", "\n   ").rstrip())
            check(first.split() in [line.split() for line in output.splitlines()], f"{command}: the page shows {first!r}, it prints {output}")


READER = "tieline-reader"


def test_asking_through_the_api_server_takes_the_right_to_pods_proxy(net):
    has(net)

    def may(*more):
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                 {"apiGroups": ["tieline.dev"], "resources": ["services"], "verbs": ["get", "list"]}, *more]
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": READER, "namespace": "shop"}}
        net.cluster.apply({**kind, "kind": "Role", "rules": rules},
                          {**kind, "kind": "RoleBinding", "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": READER},
                           "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": READER}]})

    def asked():
        process = start(net, f"tieline explain backend -n shop --as {READER}")
        output, errors = process.communicate(timeout=30)
        return output or errors
    may()
    told = wait("it is told what else it can do", lambda: "port-forward" in (said := asked()) and said)
    check("orbidden" in told and "pods/proxy" in told, told)
    print(f"   without the right: {told.strip()}")
    may({"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]})
    wait("with the right it is answered", lambda: "The next connection goes to" in asked())
    net.cluster.kubectl("delete", "-n", "shop", f"role/{READER}", f"rolebinding/{READER}")

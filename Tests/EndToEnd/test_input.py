"""Bad input: each gets its condition or error with the remedy, and nothing else is disturbed."""
import base64
import contextlib
import json
import os
import sys
import tempfile

from cluster import check, condition, wait
from network import API, service, site
from test_balance import offer
from traffic import Run, expect_undisturbed

BASE32 = "A" * 26
LANE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lane.py")


@contextlib.contextmanager
def undisturbed(net, sites="abcd"):
    """Connections from a to b keep flowing meanwhile, and nobody writes the configurations of `sites`."""
    address = offer(net, "steady", {"b": "s"}, {("a", "b"): 1})
    written = lambda: {name: net.cluster.get("secret", name, "tieline-proxy")["metadata"]["resourceVersion"]
                       for name in sites}
    with Run(net.cluster, "flow", address, count=20, seconds=120) as flow:
        check(flow.line()["flowing"] == 20, "20 connections flow")
        before = written()
        yield
        after = written()
        check(after == before, f"configurations were written: {before} -> {after}")
        expect_undisturbed(flow.result(), 20)


@contextlib.contextmanager
def removed(net, *objects):
    """Deletes objects, each (kind, namespace, name), at the end, whatever happened."""
    try:
        yield
    finally:
        for kind, where, name in objects:
            net.cluster.kubectl("delete", kind, "-n", where, name, "--ignore-not-found")


def reason(net, kind, where, name, type_, expected, seconds=20):
    def seen():
        item = net.cluster.get(kind, where, name)
        return condition(item, type_) == "False" and condition(item, type_, "reason") == expected and (
            condition(item, type_, "message") or " ")
    try:
        message = wait(f"{kind} {where}/{name}: {type_}=False {expected}", seen, seconds)
    except Exception:
        print(net.cluster.kubectl("get", kind, "-n", where, name, "-o", "yaml"))
        raise
    print(f"   {kind} {where}/{name}: {expected}: {message}")
    return message


def test_a_link_with_a_wrong_site_id(net):
    with undisturbed(net, "bcd"), removed(net, ("tlink", "a", "wrong")):
        net.declare_link("a", "b", name="wrong", site_id=BASE32)
        message = reason(net, "tlink", "a", "wrong", "Connected", "SiteIDMismatch")
        check(BASE32 in message and net.ids["b"] in message, f"both IDs belong in the message: {message}")


def test_a_site_that_is_not_allowed(net):
    with undisturbed(net, "abd"), removed(net, ("tlink", "c", "d")):
        endpoints = wait("endpoints of d", lambda: net.cluster.get("tsite", "d", "d")["status"].get("endpoints"))
        net.cluster.apply({"apiVersion": API, "kind": "Link", "metadata": {"name": "d", "namespace": "c"},
                           "spec": {"endpoints": endpoints, "remoteSiteID": net.ids["d"]}})
        message = reason(net, "tlink", "c", "d", "Connected", "NotAllowed")
        check(net.ids["c"] in message and "allow" in message, f"the line to add belongs in the message: {message}")

        def event():
            return [item for item in net.cluster.get("events.events.k8s.io", "d")["items"]
                    if item["reason"] == "NotAllowed" and net.ids["c"] in item["note"]]

        wait("the accepting Site has the Event with the SiteID", event, 10)


def test_cost_0_is_refused_by_the_schema(net):
    with undisturbed(net):
        free = {"apiVersion": API, "kind": "Link", "metadata": {"name": "free", "namespace": "a"},
                "spec": {"endpoints": [{"host": "east.example.com", "port": 5671}], "remoteSiteID": BASE32, "cost": 0}}
        error = net.cluster.kubectl_fails("apply", "-f", "-", stdin=json.dumps(free))
        check("spec.cost" in error, error)
        print(f"   cost 0: {error.strip().splitlines()[-1]}")


def test_a_core_service_that_is_not_ours(net):
    with undisturbed(net, "bcd"), removed(net, ("service", "a", "taken"), ("tsvc", "a", "taken")):
        foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken", "namespace": "a"},
                   "spec": {"ports": [{"name": "x", "port": 1}]}}
        net.cluster.apply(foreign)
        net.cluster.apply(service("a", "taken"))
        message = reason(net, "tsvc", "a", "taken", "Programmed", "Conflict")
        check("taken" in message, message)
        kept = net.cluster.get("service", "a", "taken")
        check(kept["spec"]["ports"][0]["port"] == 1, "it is left alone")
        net.cluster.kubectl("delete", "service", "-n", "a", "taken")
        wait("the Service takes the name once it is free", lambda: condition(
            net.cluster.get("tsvc", "a", "taken"), "Programmed") == "True", 20)


def test_two_sites_in_a_namespace(net):
    with undisturbed(net), removed(net, ("tsite", "a", "second")):
        second = site("a")
        second["metadata"]["name"] = "second"
        net.cluster.apply(second)
        message = reason(net, "tsite", "a", "second", "Accepted", "Conflict")
        check('"a"' in message, f"it names the older Site: {message}")
        check(condition(net.cluster.get("tsite", "a", "a"), "Accepted") == "True", "the older one keeps the namespace")
        net.wait_ready("tsite", "a", "a", 5)


def test_an_sidecar_leaf_on_a_link(net):
    """A sidecar's certificate opens nothing on the port for links, of its own site or of another."""
    with undisturbed(net):
        for where in "ab":
            said = lane(net, where, "tieline-sidecar", "sidecar")
            print(f"   sidecar leaf of a at site {where}'s link port: {said}")
            check(said.get("close") == 7 and "a sidecar's certificate cannot be used on a Link" in said["text"],
                  f"site {where} must say why it refuses a sidecar leaf: {said}")
        said = lane(net, "b", "tieline-proxy-credentials", "gateway")
        check(said == {"hello": net.ids["b"]}, f"the same with a gateway's leaf is let in: {said}")


def lane(net, where, secret, role):
    """What the link port of a site answers to a certificate of site a."""
    leaf = net.cluster.get("secret", "a", secret)["data"]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tls.crt", "tls.key"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(base64.b64decode(leaf[name]))
        host, port = net.address(where, "tieline-link", 5671).split(":")
        client = net.cluster.exec([sys.executable, LANE, host, port, f"{folder}/tls.crt", f"{folder}/tls.key",
                                   net.ids["a"], role])
        out, errors = client.communicate(timeout=20)
    check(out, f"lane.py said nothing: {errors}")
    return json.loads(out)


def test_k8_hosts_that_lead_back_to_the_site(net):
    """The addresses of core Services of the Site are no servers; the status says so."""
    with removed(net, ("tsvc", "a", "back"), ("tsvc", "a", "used")):
        net.cluster.apply(service("a", "used"))
        address = wait("a core Service of the Site has an address", lambda: net.cluster.exists("service", "a", "used")
                       and net.cluster.get("service", "a", "used")["spec"].get("clusterIP"), 20)
        net.cluster.apply(service("a", "back", hosts=[address]))
        message = reason(net, "tsvc", "a", "back", "HasTargets", "HostRefused")
        check("leads to this site's gateways" in message, message)
        own = wait("the Service's own address", lambda: net.cluster.get("service", "a", "back")["spec"].get("clusterIP"), 20)
        net.cluster.patch("tsvc", "a", "back", {"spec": {"hosts": [own]}})
        message = wait("its own address is refused", lambda: (lambda text: own in text and text)(
            condition(net.cluster.get("tsvc", "a", "back"), "HasTargets", "message") or ""), 20)
        check("leads to this site's gateways" in message, message)

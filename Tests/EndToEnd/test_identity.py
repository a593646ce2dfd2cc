"""A site goes from one identity to another while it serves."""
from cluster import check, wait
from network import GATEWAYS
from test_balance import offer
from traffic import Run

WISH = "tieline.dev/next-identity"


def status(net, where):
    return net.cluster.get("tsite", where, where)["status"]


def wish(net, where, text):
    net.cluster.kubectl("annotate", "tsite", "-n", where, where, f"{WISH}={text}", "--overwrite")


def rotate(net, old, new):
    """Site b from `old` to `new`, which all others know already; returns when nothing of the old one is left."""
    before = {pod["metadata"]["name"] for pod in net.gateways("b", 1)}
    wish(net, "b", new)
    wait("the status names the other identity", lambda: status(net, "b").get("siteID") == new, 30)
    net.cluster.kubectl("rollout", "status", "-n", "b", "deployment/tieline-proxy", "--timeout=90s")
    wait("the old gateways are gone", lambda: not before & {
        pod["metadata"]["name"] for pod in net.cluster.pods("b", GATEWAYS, terminating=True)}, 60)
    check(status(net, "b")["previousSiteID"] == old, f"the key of {old} is kept: {status(net, 'b')}")
    net.wait_ready("tsite", "b", "b", 60)


def pin(net, where, name, site, following=None):
    net.cluster.patch("tlink", where, name, {"spec": {"remoteSiteID": site, "nextRemoteSiteID": following}})
    net.wait_ready("tlink", where, name, 30)


def allow(net, where, leave=None, **more):
    """Changes the allow list of a site: takes one out, adds others by name."""
    listed = net.cluster.get("tsite", where, where)["spec"]["allow"]
    entries = [entry for entry in listed if entry["siteID"] != leave]
    entries += [{"siteID": one, "name": name} for name, one in more.items()]
    net.cluster.patch("tsite", where, where, {"spec": {"allow": entries}})
    net.wait_ready("tsite", where, where)


def test_k3_a_planned_rotation_of_the_serving_site_fails_no_connection(net):
    """a dials b and c dials nobody: b is named in a's Link and, since it dials c, in c's allow list."""
    address = offer(net, "k3", {"b": "s"}, {("a", "b"): 1})
    old = net.ids["b"]
    events = lambda reason: net.cluster.kubectl_json("get", "events", "-n", "b", "--field-selector", f"reason={reason}")["items"]
    with Run(net.cluster, "load", address, rate=50, seconds=300, timeout=5, hold=50) as load:
        wait("a second of load", lambda: load.ask("report")["seconds"] >= 1, 5)
        # 1. Prepared.
        wish(net, "b", "prepare")
        new = wait("another identity is prepared", lambda: status(net, "b").get("nextSiteID"), 30)
        wait("an Event says so", lambda: events("IdentityPrepared"), 15)
        check(status(net, "b")["siteID"] == old != new, "nothing else has changed")
        # 2. The others learn it, in turn.
        pin(net, "a", "b", old, new)
        allow(net, "c", next=new)
        # 3. It takes over.
        rotate(net, old, new)
        wait("an Event says so", lambda: events("IdentityChanged"), 15)
        wait("a's Link leads to the new one",
             lambda: net.cluster.get("tlink", "a", "b")["status"]["remoteSite"]["id"] == new, 30)
        # 4. The old one is forgotten, in turn.
        pin(net, "a", "b", new)
        allow(net, "c", leave=old)
        wish(net, "b", "none")
        wait("the former identity is gone", lambda: "previousSiteID" not in status(net, "b"), 30)
        net.ids["b"] = new
        net.wait_ready("tlink", "b", "c", 30)
        wait("two seconds more", lambda seen=load.ask("report")["seconds"]: load.ask("report")["seconds"] >= seen + 2, 10)
        result = load.stop()
    print(f"   a rotation from begin to end at 50/s: {result}")
    check(set(result["endings"]) == {"done"}, f"{result}")
    # The identity that is gone is told of for a while yet, as a target that cannot be reached.
    targets = net.cluster.get("tsvc", "a", "k3")["status"]["targets"]
    usable = [(entry["site"], entry["endpoints"]) for entry in targets if entry["state"] == "Usable"]
    check(usable == [("b", 1)], f"one b is left: {targets}")

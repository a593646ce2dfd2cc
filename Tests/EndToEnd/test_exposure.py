"""One service in a further namespace that consents by label."""
from cluster import check, wait
from network import namespace
from test_balance import offer
from traffic import Hold


def test_a_namespace_that_consents_gets_the_service(net):
    offer(net, "shared", {"b": "s"}, {("a", "b"): 1})
    try:
        expose(net)
    finally:
        net.cluster.kubectl("delete", "namespace", "guest", "stranger", "--ignore-not-found", "--wait=false")


def expose(net):
    cluster = net.cluster
    cluster.apply(namespace("guest", {"team": "guest"}), namespace("stranger", {"team": "guest"}))
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shared", "namespace": "stranger"},
                   "spec": {"ports": [{"name": "tcp", "port": 1234}]}})
    listen = lambda spec: cluster.patch("tsvc", "a", "shared", {"spec": {"listen": spec}})
    listen({"namespaces": {"matchLabels": {"team": "guest"}}})
    consent = lambda where, value: cluster.patch(
        "namespace", "", where, {"metadata": {"labels": {"tieline.dev/allow-from": value}}})
    consent("stranger", "a")
    consent("guest", "a")
    exposed = lambda: cluster.exists("service", "guest", "shared")
    wait("the Service appears", exposed)
    with Hold(cluster, net.address("guest", "shared")) as clients:
        wait("it carries connections", lambda: sum(clients.attempt(1).values()) == 1)
    foreign = cluster.get("service", "stranger", "shared")
    check(foreign["spec"]["ports"][0]["port"] == 1234, "a foreign Service is left alone")
    consent("guest", None)
    wait("it goes with the label", lambda: not exposed())
    consent("guest", "a")
    wait("it comes back", exposed)
    cluster.kubectl("delete", "tsvc", "-n", "a", "shared", "--timeout=40s")
    wait("it goes with the Service", lambda: not exposed())
    check(cluster.exists("service", "stranger", "shared"), "the foreign Service is still there")
    slices = lambda: [item["metadata"]["name"] for item in cluster.get("endpointslices", "guest")["items"]]
    wait("and so do its slices", lambda: not any(name.startswith("shared") for name in slices()))

"""A sidecar and its site's gateways: it attaches to all there are, and is ready once it was told of what it listens for."""
from cluster import check, condition, wait
from network import GATEWAYS, client_with_sidecar, service
from test_balance import offer
from traffic import Hold


def test_a_sidecar_is_ready_once_told_and_follows_its_gateways(net):
    offer(net, "row7", {"a": "s", "b": "s"}, {("a", "b"): 50})
    with net.cluster.applied(client_with_sidecar("a", "follower", {"row7/tcp": 9000, "later/tcp": 9001})):
        is_ready_once_told(net)
        pod = net.cluster.wait_ready("a", "app=follower", 1)[0]
        with Hold(net.cluster, "127.0.0.1:9000", pod=f"a/{pod['metadata']['name']}") as clients:
            clients.open(5)
            try:
                attaches_to_every_gateway(net)
                takes_new_credentials(net, pod)
                survives_a_gateway(net, clients)
            finally:
                net.cluster.patch("tsite", "a", "a", {"spec": {"proxy": {"replicas": 1}}})
        net.gateways("a", 1)
    net.cluster.kubectl("delete", "tsvc", "-n", "a", "later")


def is_ready_once_told(net):
    """Attached is not enough: one of its addresses is not known to anybody yet."""
    wait("the sidecar is attached", lambda: attached(net) == [1])
    pods = net.cluster.pods("a", "app=follower")
    check(pods and condition(pods[0], "Ready") != "True", "it may not be ready before it was told of later/tcp")
    net.cluster.apply(service("a", "later", selector="s"))


def attached(net):
    """How many sidecars each ready gateway has."""
    return [net.metric("a", "tieline_sidecars_attached", required=True, pods=[pod])
            for pod in net.cluster.ready_pods("a", GATEWAYS)]


def attaches_to_every_gateway(net):
    net.cluster.patch("tsite", "a", "a", {"spec": {"proxy": {"replicas": 2}}})
    wait("the sidecar has found the second gateway", lambda: attached(net) == [1, 1])
    wait("and counts once in the Site's status", lambda: net.cluster.get("tsite", "a", "a")["status"]["proxies"].get("sidecars") == 1)


def takes_new_credentials(net, pod):
    """The mounted Secret is another one: the sidecar reads it again."""
    end = lambda: net.metric("a", "tieline_cert_expiry_timestamp_seconds", required=True, pods=[pod])
    before = end()
    net.cluster.kubectl("delete", "secret", "-n", "a", "tieline-sidecar")
    # A controller looks at Secrets once a minute, a new one at once.
    net.cluster.kubectl("delete", "pods", "-n", "tieline-system", "--all", "--wait=false")
    wait("the sidecar has the new certificate", lambda: end() != before, 60)


def survives_a_gateway(net, clients):
    """The oldest gateway drains and goes: new connections take the other one and stay, and the next one is found too."""
    clients.ask("close all")
    oldest = min(net.cluster.ready_pods("a", GATEWAYS), key=lambda pod: pod["metadata"]["creationTimestamp"])
    name = oldest["metadata"]["name"]
    net.cluster.kubectl("delete", "pod", "-n", "a", name, "--wait=false")
    wait("it drains", lambda: net.metric("a", "tieline_ready", required=True, pods=[oldest]) == 0)
    clients.open(20)
    wait("it is gone", lambda: not net.cluster.exists("pod", "a", name), 60)
    wait("the sidecar has found the one that took its place", lambda: attached(net) == [1, 1])
    check(sum(clients.report()["open"].values()) == 20, f"all are still open: {clients.last}")

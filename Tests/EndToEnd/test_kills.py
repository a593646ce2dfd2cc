"""Gateways in a cluster that are killed at each step of joining by a token, on either side."""
import base64
import contextlib
import os

import test_tokens as joins
from cluster import wait
from kills import CONFIGURATIONS, PORT, PROGRAM, Gate, at_each_step
from test_plain import BIND
from traffic import finish


class ClusterSites:
    """Sites of a cluster; `host` is reached through the gate, which is in the network of the node."""
    names = {"host": "k-host", "guest": "k-guest", "other": "k-other"}

    def __init__(self, net):
        self.net, (host, *others) = net, self.names.values()
        net.make_sites(host, linkAccess={"type": "ClusterIP", "hosts": [BIND]})
        net.make_sites(*others)
        place = net.address(host, "tieline-link", PORT)
        self.gate = Gate(net.cluster.exec([*PROGRAM, BIND, PORT, *place.split(":")]))
        self.ids = {role: net.ids[name] for role, name in self.names.items()}

    def issue(self):
        return joins.issue(self.net, self.names["host"], uses=1)

    def configurations(self):
        return self.net.metric(self.names["host"], CONFIGURATIONS, required=True)

    def join(self, role, token):
        joins.redeem(self.net, token, self.names[role], "host")

    def connected(self, role):
        return joins.connected(self.net, self.names[role], "host")

    def admitted(self):
        return [one["siteID"] for grant in joins.grants(self.net, self.names["host"]).values() for one in grant["admitted"]]

    def claims(self):
        return joins.claims(self.net, self.names["host"])

    def kill(self, role):
        pid = self.net.cluster.pid(self.net.gateways(self.names[role])[0])
        os.kill(pid, 9)
        wait("it is gone", lambda: not os.path.exists(f"/proc/{pid}"), every=0.01)

    def start(self, role):
        """The node does."""

    def settle(self):
        for role in ("host", "guest"):
            self.net.gateways(self.names[role])

    @contextlib.contextmanager
    def nothing_written(self):
        with self.net.cluster.applied(*joins.NO_GRANTS):
            wait("the grants cannot be written", lambda: joins.are_held(self.net, self.names["host"]))
            yield

    def clean(self):
        host, guest, other = self.names.values()
        for where in (guest, other):
            self.net.cluster.kubectl("delete", "-n", where, "--ignore-not-found", "tlink/host", *(f"{kind}/{host}-token" for kind in (
                "secret", "role", "rolebinding")))
        grants = joins.grants(self.net, host)
        self.net.cluster.patch("secret", host, "tieline-grants", {"data": dict.fromkeys(grants)})
        known = lambda where: base64.b64decode(self.net.cluster.get("secret", where, "tieline-proxy")["data"]["configuration.json"]).decode()
        wait("nothing is left of it", lambda: self.claims() == [] and not any(
            word in known(host) for word in [*grants, self.ids["guest"]]) and self.ids["host"] not in known(guest) + known(other))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        finish(self.gate.process)
        self.net.cluster.kubectl("delete", "namespace", *self.names.values(), "--wait=false")


def test_kills_in_a_cluster_burn_no_token(net):
    with ClusterSites(net) as sites:
        at_each_step(sites)

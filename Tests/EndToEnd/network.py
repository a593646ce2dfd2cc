"""Sites, links, services and servers of the tests, as manifests."""
from cluster import check, condition, wait
from traffic import Hold

API = "tieline.dev/v1alpha1"
GATEWAYS = "app.kubernetes.io/name=tieline-proxy"


def namespace(name, labels=None):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def site(name, **spec):
    return {"apiVersion": API, "kind": "Site", "metadata": {"name": name, "namespace": name},
            "spec": {"linkAccess": {"type": "ClusterIP"}, "proxy": {"replicas": 1}, **spec}}


def service(where, name, selector=None, listen=True, port=8080, **spec):
    body = {"ports": [{"name": "tcp", "port": port, "targetPort": 8080}], **spec}
    if selector:
        body["selector"] = {"app": selector}
    body["listen"] = {"enabled": listen, "serviceName": name} if listen else {"enabled": False}
    return {"apiVersion": API, "kind": "Service", "metadata": {"name": name, "namespace": where},
            "spec": body}


def server(where, app, replicas=1, **template):
    """A Deployment of `traffic serve` whose pods answer SITE/POD."""
    container = {
        "name": "server", "image": "traffic:dev",
        "args": ["serve", "--listen", "[::]:8080", "--name", f"{where}/$(POD_NAME)", "--linger", "2"],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "tcp", "containerPort": 8080}],
        # With a delay: one that was killed and restarted is not ready before the test has taken it away.
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "initialDelaySeconds": 1},
    }
    return deployment(where, app, replicas, {"containers": [container],
                                             "terminationGracePeriodSeconds": 4, **template})


def deployment(where, app, replicas, pod):
    labels = {"app": app}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": where},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": pod}}}


def client_with_sidecar(where, app, listens, replicas=1, host="127.0.0.1"):
    """Client pods (idle) that carry the proxy as a native sidecar; `listens`: {ADDRESS/PORT: local port}."""
    arguments = ["run", "--sidecar", "--gateways", f"tieline-proxy.{where}.svc:5672",
                 "--credentials", "/etc/tieline/credentials"]
    for address, port in listens.items():
        arguments += ["--listen", f"{address}={host}:{port}"]
    sidecar = {
        "name": "tieline", "image": "tieline-proxy:dev", "restartPolicy": "Always", "args": arguments,
        "volumeMounts": [{"name": "tieline", "mountPath": "/etc/tieline/credentials", "readOnly": True}],
        "startupProbe": {"httpGet": {"path": "/readyz", "port": 5673}, "periodSeconds": 1,
                         "failureThreshold": 60},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 5673}, "periodSeconds": 1},
    }
    idle = {"name": "client", "image": "traffic:dev", "args": ["serve", "--name", "client",
                                                               "--listen", "127.0.0.1:18080"]}
    return deployment(where, app, replicas, {
        "initContainers": [sidecar], "containers": [idle], "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "tieline", "secret": {"secretName": "tieline-sidecar"}}]})


class Network:
    """What the tests know of the sites in a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.ids = {}

    def make_sites(self, *names, **spec):
        self.cluster.apply(*[namespace(name) for name in names])
        self.cluster.apply(*[site(name, **spec) for name in names])
        for name in names:
            self.ids[name] = wait(
                f"site {name} has an identity",
                lambda: self.cluster.get("tsite", name, name).get("status", {}).get("siteID"), 90)
        for name in names:
            self.wait_ready("tsite", name, name)

    def link(self, source, target, cost=1, name=None):
        """Declares a Link at `source` to `target` and the `allow` entry at `target`, and waits for it."""
        self.declare_link(source, target, cost, name)
        self.wait_ready("tlink", source, name or target)

    def declare_link(self, source, target, cost=1, name=None, site_id=None):
        current = self.cluster.get("tsite", target, target)
        allow = current["spec"].get("allow", [])
        if self.ids[source] not in [entry["siteID"] for entry in allow]:
            allow.append({"siteID": self.ids[source], "name": source})
            self.cluster.patch("tsite", target, target, {"spec": {"allow": allow}})
        endpoints = wait(
            f"site {target} can be reached",
            lambda: self.cluster.get("tsite", target, target)["status"].get("endpoints"))
        self.cluster.apply({
            "apiVersion": API, "kind": "Link",
            "metadata": {"name": name or target, "namespace": source},
            "spec": {"endpoints": endpoints, "remoteSiteID": site_id or self.ids[target], "cost": cost}})

    def set_cost(self, source, target, cost, wait_applied=True):
        self.cluster.patch("tlink", source, target, {"spec": {"cost": cost}})
        if wait_applied:
            wait(f"link {source}->{target} costs {cost}",
                 lambda: self.cluster.get("tlink", source, target)["status"].get("appliedCost") == cost)

    def wait_ready(self, kind, where, name, seconds=40):
        """Ready, and working with the other sites too: a Link Connected, a Service with targets."""
        wanted = ["Ready"] + {"tlink": ["Connected"], "tsvc": ["HasTargets"]}.get(kind, [])

        def ready():
            item = self.cluster.get(kind, where, name)
            return all(condition(item, one) == "True" for one in wanted) and (
                item["status"].get("observedGeneration") == item["metadata"]["generation"]) or None
        try:
            wait(f"{kind} {where}/{name} is {' and '.join(wanted)}", ready, seconds)
        except Exception:
            print(self.cluster.kubectl("get", kind, "-n", where, name, "-o", "yaml"))
            raise

    def addresses(self, where, name, port=8080):
        """ClusterIP:port of a core Service, for each of its families."""
        ips = wait(f"core Service {where}/{name}",
                   lambda: self.cluster.get("service", where, name)["spec"]["clusterIPs"])
        return [f"{in_url(ip)}:{port}" for ip in ips]

    def address(self, where, name, port=8080):
        return self.addresses(where, name, port)[0]

    def answering(self, where, name):
        """The address of a core Service, once a client gets an answer there."""
        address = self.address(where, name)
        self.wait_answer(address)
        return address

    def wait_answer(self, address):
        """Waits until a client gets an answer at an address: kube-proxy lags behind the status."""
        def answers():
            with Hold(self.cluster, address, timeout=2) as clients:
                return sum(clients.attempt(1).values()) == 1

        wait(f"{address} answers", answers, 15)

    def targets(self, where, name):
        """Site name -> target entry of a Service's status."""
        status = self.cluster.get("tsvc", where, name).get("status", {})
        return {entry["site"]: entry for entry in status.get("targets", [])}

    def wait_targets(self, where, name, expected, seconds=20):
        """Waits until the Service's usable targets are {site name: endpoints}."""
        def seen():
            usable = {key: entry.get("endpoints") for key, entry in self.targets(where, name).items()
                      if entry["state"] == "Usable"}
            return usable == expected
        try:
            wait(f"targets of {where}/{name} are {expected}", seen, seconds)
        except Exception:
            print(self.cluster.kubectl("get", "tsvc", "-n", where, name, "-o", "yaml"))
            raise

    def metric(self, where, name, required=False, pods=None, labels=()):
        """The sum of a metric over the site's gateways (or `pods`), of its series with these `labels`.

        A metric without a series counts 0, unless it is `required`: where a difference is compared, two zeros that
        stand for nothing would be equal as well.
        """
        amount = 0.0
        for pod in pods or self.cluster.ready_pods(where, GATEWAYS):
            url = f"http://{in_url(pod['status']['podIP'])}:5673/metrics"
            text = self.cluster.exec(["curl", "-sf", url]).communicate()[0]
            check("tieline_ready" in text, f"the gateway of {where} has no metrics: {text}")
            series = [float(line.split()[-1]) for line in text.splitlines()
                      if line.split("{")[0].split(" ")[0] == name and all(label in line for label in labels)]
            check(series or not required, f"the gateway of {where} has no metric {name}")
            amount += sum(series)
        return amount

    def gateways(self, where, count=1):
        return self.cluster.wait_ready(where, GATEWAYS, count)

    def install(self):
        """CRDs, rights and controller, as a user installs them."""
        from cluster import ROOT
        self.cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"))
        self.cluster.wait_served()
        self.cluster.kubectl("rollout", "status", "-n", "tieline-system",
                             "deployment/tieline-controller", "--timeout=60s")


def in_url(ip):
    return f"[{ip}]" if ":" in ip else ip


def expect_close(label, total, counts, nearer, farther, difference):
    """|nA - nB - d| <= 1 for N >= d, all to the nearer one below."""
    a, b = counts.get(nearer, 0), counts.get(farther, 0)
    check(a + b == total == sum(counts.values()), f"{label}: {counts} are not {total}")
    if total <= difference:
        check(b == 0, f"{label}: {counts}, expected all {total} at {nearer}")
    else:
        check(abs(a - b - difference) <= 1, f"{label}: {counts}, |{a} - {b} - {difference}| > 1")

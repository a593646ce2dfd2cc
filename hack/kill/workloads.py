"""What is done to a Site and what belongs to it, while the controller is killed around its writes."""
import base64
import dataclasses
import json
import pathlib
import subprocess
import time
from typing import Callable

from cluster import BIN, condition, wait
from network import API, namespace, service, site

HERE = pathlib.Path(__file__).resolve().parent
CREDENTIALS, AUTHORITY = "tieline-proxy-credentials", "tieline-site-ca"
RENEWED = "tieline.dev/renewed"
WISH = "tieline.dev/next-identity"


class Place:
    """One run's namespaces: the Site's, one into which it exposes a Service, and one for a Site that it is linked to."""

    def __init__(self, number):
        self.name, self.guest, self.far = f"kill-{number}", f"kill-{number}-guest", f"kill-{number}-far"
        self.all = [self.name, self.guest, self.far]

    def namespaces(self):
        return [namespace(self.name), namespace(self.far),
                namespace(self.guest, {"team": self.name, "tieline.dev/allow-from": self.name})]


class Scene:
    """A place in a cluster. Reading and patching go past kubectl: many runs wait side by side for what becomes of theirs."""

    def __init__(self, cluster, api, place):
        self.apply, self.kubectl, self.api, self.place = cluster.apply, cluster.kubectl, api, place
        self.run = cluster.run

    def path(self, kind, name, where=None):
        api = "api/v1" if kind in ("services", "secrets", "pods") else f"apis/{API}"
        return f"/{api}/namespaces/{where or self.place.name}/{kind.removeprefix('tieline ')}/{name}"

    def get(self, kind, name, where=None):
        """The object; {} when it is not there."""
        return self.api.get(self.path(kind, name, where)) or {}

    def patch(self, kind, name, body, where=None):
        self.api.patch(self.path(kind, name, where), body)

    def site_status(self, field):
        return self.get("sites", self.place.name).get("status", {}).get(field)

    def wait(self, what, probe):
        return wait(what, probe, 120, every=0.2)

    def wait_for(self, kind, name, what, status, reason=None):
        """Until a condition of an object is so."""
        def seen():
            item = self.get(kind, name)
            return condition(item, what) == status and reason in (None, condition(item, what, "reason"))
        self.wait(f"{what} of {name} is {status} {reason or ''}", seen)


@dataclasses.dataclass
class Workload:
    """`objects` are there before, and what `prepare` makes of them; `operate` is what is tried."""
    operate: Callable
    objects: Callable
    prepare: Callable = lambda scene: None

    @property
    def name(self):
        return self.operate.__name__


def base(place, **meta):
    """A Site, a Service that is exposed, one that is only used, and a Link that leads nowhere."""
    web = service(place.name, "web", selector="web")
    web["spec"]["listen"] = {"enabled": True, "serviceName": "web", "namespaces": {"matchLabels": {"team": place.name}}}
    declared = site(place.name)
    declared["metadata"] |= meta
    return [declared, web, service(place.name, "used"), {
        "apiVersion": API, "kind": "Link", "metadata": {"name": "far", "namespace": place.name},
        "spec": {"endpoints": [{"host": "far.invalid", "port": 5671}], "remoteSiteID": "A" * 26, "cost": 3}}]


def create(scene):
    scene.apply(*base(scene.place))


def scale(scene):
    scene.patch("sites", scene.place.name, {"spec": {"proxy": {"replicas": 2}}})


def rename(scene):
    scene.patch("tieline services", "web", {"spec": {"listen": {"serviceName": "renamed"}}})


def cost(scene):
    scene.patch("links", "far", {"spec": {"cost": 7}})


def delete(scene):
    scene.kubectl("delete", "tsvc,tlink,tsite", "--all", "-n", scene.place.name, "--wait=false")


def recreate(scene):
    # The gap is seen for certain: what the Site let into another namespace goes before the new one comes.
    scene.kubectl("delete", "tsite", "--all", "-n", scene.place.name)
    exposed = [f"/{api}/namespaces/{scene.place.guest}/{kind}" for api, kind in (
        ("api/v1", "services"), ("apis/discovery.k8s.io/v1", "endpointslices"))]
    scene.wait("what was exposed is gone", lambda: not scene.api.list(exposed))
    scene.apply(base(scene.place)[0])


# Keys and certificates.

def rotate(scene):
    """The credentials of the gateways are lost."""
    scene.kubectl("delete", "secret", "-n", scene.place.name, CREDENTIALS)
    scene.wait("there are credentials again", lambda: scene.get("secrets", CREDENTIALS))


def renew(scene):
    """The certificate of the gateways is near its end: one of the same key whose time is nearly over takes its place."""
    held, authority = (scene.get("secrets", name)["data"] for name in (CREDENTIALS, AUTHORITY))
    # Debian's own Python: python3-cryptography is its package.
    chain = subprocess.run(
        ["/usr/bin/python3", str(HERE / "age_certificate.py")], text=True, capture_output=True, check=True,
        input=json.dumps([base64.b64decode(text).decode() for text in (held["tls.crt"], authority["tls.key"])])).stdout
    scene.patch("secrets", CREDENTIALS, {"data": {"tls.crt": base64.b64encode(chain.encode()).decode()}})
    scene.wait("the certificate is renewed", lambda: RENEWED in scene.get(
        "secrets", CREDENTIALS)["metadata"].get("annotations", {}))


def wish(scene, text):
    scene.patch("sites", scene.place.name, {"metadata": {"annotations": {WISH: text}}})


def identity(scene):
    """Another identity is prepared, and then used."""
    wish(scene, "prepare")
    wish(scene, is_prepared(scene))
    scene.wait("it is in use", lambda: scene.site_status("previousSiteID"))


def prepared(place):
    return base(place, annotations={WISH: "prepare"})


def is_prepared(scene):
    return scene.wait("another identity is prepared", lambda: scene.site_status("nextSiteID"))


def forget(scene):
    """The identity that was prepared is not wanted any more."""
    wish(scene, "none")
    scene.wait("it is gone", lambda: not scene.site_status("nextSiteID"))


# What is told as Events.

def clash(scene):
    """A Service wants a name that somebody else has, until that one goes."""
    scene.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "renamed", "namespace": scene.place.name},
                 "spec": {"ports": [{"port": 80}]}})
    rename(scene)
    scene.wait_for("tieline services", "web", "Ready", "False", "Conflict")
    scene.kubectl("delete", "service", "-n", scene.place.name, "renamed")
    scene.wait_for("tieline services", "web", "Ready", "True")


def server(place):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "server", "namespace": place.name, "labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "server", "image": "traffic:dev", "args": ["serve", "--listen", "0.0.0.0:8080", "--name", "server"]}]}}


def served(place):
    return [*base(place), server(place)]


def has_targets(scene):
    scene.wait_for("tieline services", "web", "HasTargets", "True")
    # What a Service loses in its first ten seconds is not told.
    since = time.monotonic()
    scene.wait("the Service is older than ten seconds", lambda: time.monotonic() - since > 11)


def targets(scene):
    """The only server goes, and comes back."""
    scene.kubectl("delete", "pod", "-n", scene.place.name, "server")
    scene.wait_for("tieline services", "web", "HasTargets", "False")
    scene.apply(server(scene.place))
    scene.wait_for("tieline services", "web", "HasTargets", "True")


def allow(scene, *sites):
    scene.patch("sites", scene.place.far, {"spec": {"allow": [{"siteID": one} for one in sites]}}, scene.place.far)


def two_sites(place):
    return [site(place.name), site(place.far), service(place.name, "used")]


def is_linked(scene):
    far = scene.get("sites", scene.place.far, scene.place.far)["status"]
    allow(scene, scene.site_status("siteID"))
    scene.apply({"apiVersion": API, "kind": "Link", "metadata": {"name": "far", "namespace": scene.place.name},
                 "spec": {"endpoints": far["endpoints"], "remoteSiteID": far["siteID"]}})
    scene.wait_for("links", "far", "Connected", "True")


def link(scene):
    """The site at the other end refuses this one, and lets it in again."""
    allow(scene)
    scene.wait_for("links", "far", "Connected", "False")
    allow(scene, scene.site_status("siteID"))
    scene.wait_for("links", "far", "Connected", "True")


def join(scene):
    """The site comes by a token of the other one."""
    token = scene.run([str(BIN / "tieline"), "token", "issue", "-n", scene.place.far, "--uses", "1"])
    made = scene.run([str(BIN / "tieline"), "token", "redeem", "-", "-n", scene.place.name, "--name", "far"], stdin=token)
    scene.kubectl("apply", "-f", "-", stdin=made)
    scene.wait_for("links", "far", "Connected", "True")


WORKLOADS = {workload.name: workload for workload in (
    Workload(create, lambda _: []), Workload(scale, base), Workload(rename, base), Workload(cost, base), Workload(delete, base),
    Workload(recreate, base), Workload(rotate, base), Workload(renew, base), Workload(identity, base),
    Workload(forget, prepared, is_prepared), Workload(clash, base), Workload(targets, served, has_targets),
    Workload(link, two_sites, is_linked), Workload(join, two_sites))}

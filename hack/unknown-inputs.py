#!/usr/bin/env python3
"""Makes each kind of object unreadable in each way, and checks that nothing that was there is taken away.

    unknown-inputs.py [--sample] [KIND...]

For every kind that the controller reads (default: all) and every failure (403, 404 of the path, 503, silence, an answer that
does not decode, and for what is watched an old copy), at rest and after a restart of the controller: no child may be
deleted or made anew, the Site keeps its identity in status, and status or /readyz says what cannot be read, as the
table in docs/reliability.md promises. Once the kind can be read again status is as before, and a change of a Service
reaches the configuration. All on the project's API server; pods do not run. TIELINE_BIN names the folder of the
programs (default: the release build). With --sample each kind once, several in a row, in different ways, at rest and after a
restart in turns. The last line says `N rows held, M failed`.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import BIN, Failed, check, condition, wait  # noqa: E402
from network import API, namespace, service, site  # noqa: E402

OURS = "/apis/tieline.dev/v1alpha1"
SITES, LINKS, OUR_SERVICES = f"{OURS}/sites", f"{OURS}/links", f"{OURS}/services"
NAMESPACES, SERVICES, PODS = "/api/v1/namespaces", "/api/v1/services", "/api/v1/pods"
DEPLOYMENTS, SLICES = "/apis/apps/v1/deployments", "/apis/discovery.k8s.io/v1/endpointslices"
SECRETS, ACCOUNTS = "/api/v1/secrets", "/api/v1/serviceaccounts"
BINDINGS, LEASES = "/apis/rbac.authorization.k8s.io/v1/rolebindings", "/apis/coordination.k8s.io/v1/leases"
WATCHED = [SITES, LINKS, OUR_SERVICES, NAMESPACES, SERVICES, PODS, DEPLOYMENTS, SLICES, ACCOUNTS, BINDINGS]
READ = [SECRETS]
FAILURES = ["403", "404", "503", "silence", "garbage"]
# What --sample tries: what fails in which way at the same time, and whether the controller is restarted.
SAMPLE = [
    ({LINKS: "garbage", NAMESPACES: "403", PODS: "404", DEPLOYMENTS: "503", ACCOUNTS: "503"}, False),
    ({SITES: "silence", OUR_SERVICES: "403", SERVICES: "garbage", SLICES: "404", BINDINGS: "403"}, True),
    ({OUR_SERVICES: "old", SLICES: "old"}, False),
    ({SECRETS: "403"}, True),
    ({LEASES: "503"}, False),
]
CHILDREN = "services,secrets,deployments.apps,serviceaccounts,rolebindings,endpointslices"
PLACES = ["shop", "guest"]


class World:
    """An API server, a controller behind the fault proxy, and one site with everything."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.state = os.path.join(scratch, "apiserver")
        self.proxy = None

    def __enter__(self):
        self.run(str(ROOT / "hack/apiserver/run.sh"), self.state)
        try:
            self.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests/crds"))
            for crd in ("sites", "links", "services"):
                self.kubectl("wait", "--for=condition=Established", f"crd/{crd}.tieline.dev", "--timeout=20s")
            with open(os.path.join(self.state, "port"), encoding="utf-8") as file:
                port = file.read().strip()
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.admin = free.getsockname()[1]
            log = open(os.path.join(self.scratch, "controller.log"), "w", encoding="utf-8")
            self.proxy = subprocess.Popen(
                [sys.executable, str(ROOT / "Tests/EndToEnd/fault_proxy.py"), f"127.0.0.1:{port}",
                 *[os.path.join(self.state, "admin.token")] * 2, str(BIN / "tieline-controller"), "run", "--kubeconfig",
                 "{kubeconfig}", "--namespace", "tieline-system", "--admin", f"127.0.0.1:{self.admin}",
                 "--proxy-image", "tieline-proxy:dev"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
            self.make()
        except BaseException:
            with open(os.path.join(self.scratch, "controller.log"), encoding="utf-8") as file:
                print("".join(file.readlines()[-20:]), file=sys.stderr)
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.proxy:
            self.proxy.stdin.close()
            self.proxy.wait(timeout=10)
        self.run(str(ROOT / "hack/apiserver/stop.sh"), self.state)

    def run(self, *command, stdin=None):
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=600)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, " ".join(command), done.stdout, done.stderr.strip())
        return done.stdout

    def kubectl(self, *arguments, stdin=None):
        return self.run("kubectl", "--kubeconfig", os.path.join(self.state, "kubeconfig"), *arguments, stdin=stdin)

    def ask(self, **request):
        self.proxy.stdin.write(json.dumps(request) + "\n")
        self.proxy.stdin.flush()
        line = self.proxy.stdout.readline()
        check(line, "the fault proxy has ended")
        return json.loads(line)

    def make(self):
        """The site, with a gateway pod that is ready and tells nothing."""
        web = service("shop", "web", selector="web")
        web["spec"]["listen"]["namespaces"] = {"matchLabels": {"team": "shop"}}
        objects = [
            namespace("tieline-system"), namespace("shop"),
            namespace("guest", {"team": "shop", "tieline.dev/allow-from": "shop"}), site("shop"), web,
            {"apiVersion": API, "kind": "Link", "metadata": {"name": "far", "namespace": "shop"},
             "spec": {"endpoints": [{"host": "far.invalid", "port": 5671}], "remoteSiteID": "A" * 26}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {
                "name": "tieline-proxy-1", "namespace": "shop",
                "labels": {"app.kubernetes.io/name": "tieline-proxy", "tieline.dev/site": "shop"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "tieline-proxy-5d4f8",
                                     "uid": "5d4f8", "controller": True}]},
             "spec": {"containers": [{"name": "proxy", "image": "x"}]}}]
        self.ask(do="arm", namespaces=PLACES, at=0, when="after")
        for item in objects:
            self.kubectl("apply", "-f", "-", stdin=json.dumps(item))
        ready = {"status": {"phase": "Running", "podIP": "10.9.9.9", "podIPs": [{"ip": "10.9.9.9"}],
                            "conditions": [{"type": "Ready", "status": "True"}]}}
        self.kubectl("patch", "pod", "-n", "shop", "tieline-proxy-1", "--subresource=status", "--type=merge",
                     "-p", json.dumps(ready))
        wait("the Service is exposed with its gateway", lambda: "10.9.9.9" in self.kubectl(
            "get", "endpointslices", "-n", "guest", "-o", "json"), 60, every=0.2)
        wait("the Site has its first verdict", lambda: self.site()["status"].get("siteID")
             and condition(self.site(), "Programmed", "reason") == "ProxiesSilent", 60, every=0.2)
        self.settle()

    def settle(self):
        wait("the controller rests", lambda: self.ask(do="report")["quiet"] > 1.5, 90, every=0.2)

    def children(self):
        """Everything that is kept, by name: what makes it the same object, and its content where clients see it."""
        found = {}
        for place in PLACES:
            for item in json.loads(self.kubectl("get", CHILDREN, "-n", place, "-o", "json"))["items"]:
                meta = item["metadata"]
                found[f"{place}/{item['kind']}/{meta['name']}"] = (
                    meta["uid"], json.dumps(item.get("endpoints")), item.get("spec", {}).get("clusterIP"))
        return {**found, "siteID": self.site()["status"].get("siteID")}

    def site(self):
        return json.loads(self.kubectl("get", "tsite", "-n", "shop", "shop", "-o", "json"))

    def verdict(self):
        """What the Site says of itself, without what every look finds otherwise."""
        site = self.site()
        return [[entry["type"], entry["status"], entry["reason"]] for entry in site["status"]["conditions"]]

    def readyz(self):
        """What the controller says of itself: "" when it is ready, or nothing at all."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:
            return f"no answer: {error}"

    def heals(self, number):
        """A change of the Service reaches the configuration."""
        port = 9000 + number
        patch = {"spec": {"ports": [{"name": "tcp", "port": port, "targetPort": 8080}]}}
        self.kubectl("patch", "tsvc", "-n", "shop", "web", "--type=merge", "-p", json.dumps(patch))
        wait(f"the change to port {port} is taken up", lambda: f'"port":{port}' in self.configuration(), 90, every=0.2)
        self.settle()

    def configuration(self):
        return self.kubectl("get", "secret", "-n", "shop", "tieline-proxy", "-o", "go-template={{range $k, $v := .data}}"
                            "{{$v | base64decode}}{{end}}").replace(" ", "")


def full_name(kind):
    """As the controller calls it: services, services.tieline.dev."""
    parts = kind.split("/")
    return parts[-1] if parts[1] == "api" else f"{parts[-1]}.{parts[2]}"


def tells(world, failing, restarts):
    """Waits until what fails is told, by name, in the places that docs/reliability.md names."""
    names = {kind: full_name(kind) for kind, how in failing.items() if how != "old"}
    watched = [name for kind, name in names.items() if kind in WATCHED]
    if watched:
        wait(f"/readyz names {watched}", lambda: all(
            name in said for name in watched) if (said := world.readyz()) else None, 120, every=0.2)
    if LEASES in failing:
        wait("/readyz names the lease", lambda: "the lease cannot be read or written" in world.readyz(), 60, every=0.2)
    told = [name for kind, name in names.items() if kind in READ and restarts or kind in WATCHED and kind != SITES and not restarts]
    if told:
        wait(f"the Site's status names {told}", lambda: condition(site := world.site(), "Programmed") != "True" and all(
            name in condition(site, "Programmed", "message") for name in told), 120, every=0.2)


def row(world, number, failing, restarts):
    before, verdict = world.children(), world.verdict()
    world.ask(do="arm", namespaces=PLACES, at=0, when="after")
    for kind, how in failing.items():
        api, _, resource = kind.rpartition("/")
        world.ask(do="fail", api=api, resource=resource, how=how)
    if restarts:
        world.ask(do="restart")
    else:
        stamp = f"example.com/row={number}"
        for name in ("tsite/shop", "tlink/far", "tsvc/web"):
            world.kubectl("annotate", "-n", "shop", "--overwrite", name, stamp)
    try:
        wait("all of it fails", lambda: all(
            how == "old" or world.ask(do="report")["failed"][kind] for kind, how in failing.items()), 90, every=0.1)
        tells(world, failing, restarts)
        world.settle()
        report, after = world.ask(do="report"), world.children()
        removed = [path for method, path, _ in report["writes"] if method == "DELETE"]
        check(not removed, f"deleted {removed}")
        check(after == before, f"changed: {sorted(set(after.items()) ^ set(before.items()), key=str)}")
        if OUR_SERVICES in failing and failing[OUR_SERVICES] == "old":
            lags(world, number)
    finally:
        for kind in failing:
            api, _, resource = kind.rpartition("/")
            world.ask(do="fail", api=api, resource=resource, how=None)
    world.heals(number)
    wait("the controller is ready", lambda: world.readyz() == "", 60, every=0.2)
    wait(f"the Site says {verdict}", lambda: world.verdict() == verdict, 60, every=0.2)


def lags(world, number):
    """A change that the controller has not heard of is not judged: status says which generation it speaks of."""
    patch = {"spec": {"ports": [{"name": "tcp", "port": 7000 + number, "targetPort": 8080}]}}
    world.kubectl("patch", "tsvc", "-n", "shop", "web", "--type=merge", "-p", json.dumps(patch))
    world.settle()
    item = json.loads(world.kubectl("get", "tsvc", "-n", "shop", "web", "-o", "json"))
    check(item["status"]["observedGeneration"] < item["metadata"]["generation"], "an unheard change was judged")


def rows(options):
    """What fails in which way, and whether the controller is restarted."""
    if options.sample:
        yield from SAMPLE
        return
    for kind in [*WATCHED, *READ, LEASES]:
        if options.kinds and kind.rpartition("/")[2] not in options.kinds:
            continue
        for failure in FAILURES:
            yield {kind: failure}, True
            yield {kind: failure}, False
        if kind in WATCHED:
            yield {kind: "old"}, False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("kinds", nargs="*", help="plurals, as pods")
    options = parser.parse_args()
    if os.environ.get("TIELINE_UNKNOWN_INPUTS") != "alone":
        # In a network of its own: the gateway's address leads nowhere there.
        os.environ["TIELINE_UNKNOWN_INPUTS"] = "alone"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                              *sys.argv])
    held, failed = 0, 0
    with tempfile.TemporaryDirectory() as scratch, World(scratch) as world:
        for number, (failing, restarts) in enumerate(rows(options)):
            what = ", ".join(f"{full_name(kind)} {how}" for kind, how in failing.items())
            began, what = time.monotonic(), f"{what}, {'after a restart' if restarts else 'at rest'}"
            try:
                row(world, number, failing, restarts)
                held += 1
                print(f"held {what} ({time.monotonic() - began:.1f} s)", flush=True)
            except Failed as error:
                failed += 1
                print(f"FAILED {what}: {error}", flush=True)
    print(f"{held} rows held, {failed} failed")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Makes each kind of object unreadable in each way, and checks that nothing that was there is taken away.

    unknown-inputs.py [--quick] [KIND...]

For every kind that the controller reads (default: all) and every failure (403, 404 of the path, 503, silence, an answer that
does not decode), at rest and after a restart of the controller: no child may be deleted or made anew, the Site keeps its
identity in status, and once the kind can be read again a change of a Service reaches the configuration. All on the
project's API server; pods do not run. Kinds that are not watched are read once a minute, so at rest they are tried with
one failure only. TIELINE_BIN names the folder of the programs (default: the release build). With --quick only 403 and an
answer that does not decode, after a restart. The last line says `N rows held, M failed`.
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

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import BIN, Failed, check, wait  # noqa: E402
from network import API, namespace, service, site  # noqa: E402

OURS = "/apis/tieline.dev/v1alpha1"
WATCHED = {
    "sites": OURS, "links": OURS, "tieline-services": OURS, "namespaces": "/api/v1", "services": "/api/v1",
    "pods": "/api/v1", "deployments": "/apis/apps/v1", "endpointslices": "/apis/discovery.k8s.io/v1",
}
READ = {"secrets": "/api/v1", "serviceaccounts": "/api/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1"}
FAILURES = ["403", "404", "503", "silence", "garbage"]
CHILDREN = "services,secrets,deployments.apps,serviceaccounts,rolebindings,endpointslices"
PLACES = ["shop", "guest"]


class World:
    """An API server, a controller behind the fault proxy, and one site with everything."""

    def __init__(self, scratch):
        self.scratch, self.port = scratch, 8000
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
                admin = free.getsockname()[1]
            log = open(os.path.join(self.scratch, "controller.log"), "w", encoding="utf-8")
            self.proxy = subprocess.Popen(
                [sys.executable, str(ROOT / "Tests/EndToEnd/fault_proxy.py"), f"127.0.0.1:{port}",
                 os.path.join(self.state, "admin.token"), str(BIN / "tieline-controller"), "run", "--kubeconfig",
                 "{kubeconfig}", "--namespace", "tieline-system", "--admin", f"127.0.0.1:{admin}",
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
            "get", "endpointslices", "-n", "guest", "-o", "json"), 25, every=0.2)
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
        status = json.loads(self.kubectl("get", "tsite", "-n", "shop", "shop", "-o", "json"))["status"]
        return {**found, "siteID": status.get("siteID")}

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


def row(world, number, kind, api, failure, restarts):
    before = world.children()
    world.ask(do="arm", namespaces=PLACES, at=0, when="after")
    world.ask(do="fail", api=api, resource=kind.removeprefix("tieline-"), how=failure)
    if restarts:
        world.ask(do="restart")
    else:
        stamp = f"example.com/row={number}"
        for name in ("tsite/shop", "tlink/far", "tsvc/web"):
            world.kubectl("annotate", "-n", "shop", "--overwrite", name, stamp)
    try:
        wait(f"{kind} is read", lambda: world.ask(do="report")["failed"] > 0, 90, every=0.1)
        world.settle()
        report, after = world.ask(do="report"), world.children()
        removed = [path for method, path, _ in report["writes"] if method == "DELETE"]
        check(not removed, f"deleted {removed}")
        check(after == before, f"changed: {sorted(set(after.items()) ^ set(before.items()))}")
    finally:
        world.ask(do="fail", api=api, resource=kind, how=None)
    world.heals(number)


def rows(options):
    for kind, api in {**WATCHED, **READ}.items():
        if options.kinds and kind not in options.kinds:
            continue
        for failure in ("403", "garbage") if options.quick else FAILURES:
            yield kind, api, failure, True
            if not options.quick and (kind in WATCHED or failure == "403"):
                yield kind, api, failure, False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("kinds", nargs="*", choices=[[], *WATCHED, *READ])
    options = parser.parse_args()
    if os.environ.get("TIELINE_UNKNOWN_INPUTS") != "alone":
        # In a network of its own: the gateway's address leads nowhere there.
        os.environ["TIELINE_UNKNOWN_INPUTS"] = "alone"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                              *sys.argv])
    held, failed = 0, 0
    with tempfile.TemporaryDirectory() as scratch, World(scratch) as world:
        for number, (kind, api, failure, restarts) in enumerate(rows(options)):
            began, what = time.monotonic(), f"{kind}, {failure}, {'after a restart' if restarts else 'at rest'}"
            try:
                row(world, number, kind, api, failure, restarts)
                held += 1
                print(f"held {what} ({time.monotonic() - began:.1f} s)", flush=True)
            except Failed as error:
                failed += 1
                print(f"FAILED {what}: {error}", flush=True)
    print(f"{held} rows held, {failed} failed")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())

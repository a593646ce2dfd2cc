#!/usr/bin/env python3
"""Makes everything that the controller reads unreadable in each way, and checks that nothing that was there is taken away.

    unknown-inputs.py [--sample] [INPUT...]

For every kind that is followed, the Secrets, the watches of them alone, the parts of the configuration, the gateways'
snapshots and the lease (default: all; INPUT is a word as the output has it), and for every failure (403, 404 of the path,
503, silence, an answer that does not decode, and for what is followed an old copy), at rest and after a restart of the
controller: no child may be deleted or made anew, the Site keeps its identity and stays Ready, and it says what cannot be
read, as do /readyz and a metric: as the table in docs/reliability.md promises. Once it can be read again status is as
before, and a change of a Service reaches the configuration. All on the project's API server, with a gateway of which only the
snapshot is real; pods do not run. TIELINE_BIN names the folder of the programs (default: the release build). With --sample
several inputs fail together, in different ways, at rest and after a restart. The last line says `N rows held, M failed`.
"""
import argparse
import base64
import http.client
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
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
BUDGETS = "/apis/policy/v1/poddisruptionbudgets"
FOLLOWED = [SITES, LINKS, OUR_SERVICES, NAMESPACES, SERVICES, PODS, DEPLOYMENTS, SLICES, ACCOUNTS, BINDINGS, BUDGETS]
# Behind the question mark: what the requests have in them that fail.
WATCHES, PARTS = f"{SECRETS}?watch=", f"{SECRETS}?tieline-proxy-part-"
SNAPSHOTS = "snapshots"
READ = [SECRETS, WATCHES, PARTS, SNAPSHOTS]
WORDS = {SECRETS: "secrets", WATCHES: "secret-watches", PARTS: "secret-parts", SNAPSHOTS: "snapshots"}
# What a Site says of them.
TOLD = {SECRETS: "secrets tieline-", WATCHES: "secrets tieline-", PARTS: "secrets tieline-proxy-part-",
        SNAPSHOTS: "snapshots of tieline-proxy-1"}
# Without these the controller does not lead.
NEEDED = {*FOLLOWED} - {ACCOUNTS, BINDINGS, BUDGETS}
FAILURES = ["403", "404", "503", "silence", "garbage"]
# What --sample tries: what fails in which way at the same time, and whether the controller is restarted.
SAMPLE = [
    ({LINKS: "garbage", NAMESPACES: "403", PODS: "404", DEPLOYMENTS: "503", PARTS: "403", BUDGETS: "403"}, False),
    ({WATCHES: "403", BUDGETS: "403"}, True),
]
CHILDREN = "services,secrets,deployments.apps,serviceaccounts,rolebindings,endpointslices,poddisruptionbudgets"
PLACES = ["shop", "guest"]


class Gateway:
    """A gateway pod of which only the snapshot is real: it has always taken up the newest configuration."""

    ADDRESS, PORT = "10.9.9.9", 5673
    ANSWERS = {"403": (403, b"no"), "404": (404, b"nothing here"), "503": (503, b"busy"), "garbage": (200, b'{"proxy": "')}

    def __init__(self, read):
        """`read` returns a Secret of the site, as JSON."""
        self.read, self.how, self.failed, self.generation, self.version = read, None, 0, 0, 1
        self.news = threading.Condition()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.close_connection = True
                after = int(urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query).get("after", ["0"])[0])
                status, body = gateway.answer(after)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer((self.ADDRESS, self.PORT), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a controller that was killed has left its poll
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.server.serve_forever, self.follow)]
        for thread in self.threads:
            thread.start()

    def close(self):
        """A thread that asks the API server while the interpreter goes would use a TLS library that is gone already."""
        self.ended.set()
        self.server.shutdown()
        for thread in self.threads:
            thread.join()
        self.server.server_close()

    def follow(self):
        while not self.ended.wait(0.1):
            data = (self.read("tieline-proxy") or {}).get("data", {})
            text = b"".join(base64.b64decode(value) for value in data.values()).decode()
            if found := re.search(r'"generation"\s*:\s*(\d+)', text):
                with self.news:
                    if int(found[1]) != self.generation:
                        self.generation, self.version = int(found[1]), self.version + 1
                        self.news.notify_all()

    def fail(self, how):
        with self.news:
            self.how, self.failed = how, 0
            self.news.notify_all()

    def answer(self, after):
        with self.news:
            self.news.wait_for(lambda: self.how or self.generation and self.version > after, 5)
            if how := self.how:
                self.failed += 1
                if how == "silence":
                    self.news.wait_for(lambda: self.how != "silence", 600)
                    how = "503"
                return self.ANSWERS[how]
            return 200, json.dumps({
                "version": self.version, "proxy": f"{'A' * 26}/0000000000000001", "appliedGeneration": self.generation,
                "appliedCount": 1, "refusedAdvertisements": 0, "links": [], "refused": [], "services": [],
                "counters": [], "failovers": [], "sidecars": []}).encode()


class World:
    """An API server, a controller behind the fault proxy, and one site with everything."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.state = os.path.join(scratch, "apiserver")
        self.proxy = self.gateway = None

    def __enter__(self):
        self.run(str(ROOT / "hack/apiserver/run.sh"), self.state)
        log = open(os.path.join(self.scratch, "controller.log"), "w", encoding="utf-8")
        try:
            self.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests/crds"))
            with open(os.path.join(self.state, "port"), encoding="utf-8") as file:
                port = file.read().strip()
            self.port = int(port)
            with open(os.path.join(self.state, "admin.token"), encoding="utf-8") as file:
                self.token = file.read().strip()
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.admin = free.getsockname()[1]
            # Which may be a while after a kind that was just made is established.
            for kind in (SITES, LINKS, OUR_SERVICES):
                wait(f"{kind} can be watched", lambda kind=kind: "initial-events-end" in self.get(
                    f"{kind}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
                    "&timeoutSeconds=1"), 30, every=0.2)
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
        if self.gateway:
            self.gateway.close()
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
        """The site, with a gateway pod, and with so many Services that its configuration has parts."""
        self.gateway = Gateway(self.secret)
        web = service("shop", "web", selector="web")
        web["spec"]["listen"]["namespaces"] = {"matchLabels": {"team": "shop"}}
        objects = [
            namespace("tieline-system"), namespace("shop"),
            namespace("guest", {"team": "shop", "tieline.dev/allow-from": "shop"}), site("shop", proxy={"replicas": 2}), web,
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
        more = [service("shop", f"more-{number}", selector="web") for number in range(33)]
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": more}))
        ready = {"status": {"phase": "Running", "podIP": "10.9.9.9", "podIPs": [{"ip": "10.9.9.9"}],
                            "conditions": [{"type": "Ready", "status": "True"}]}}
        self.kubectl("patch", "pod", "-n", "shop", "tieline-proxy-1", "--subresource=status", "--type=merge",
                     "-p", json.dumps(ready))
        wait("the Service is exposed with its gateway", lambda: "10.9.9.9" in self.kubectl(
            "get", "endpointslices", "-n", "guest", "-o", "json"), 60, every=0.2)
        wait("the configuration has parts", lambda: self.secret("tieline-proxy-part-00"), 60, every=0.2)
        wait("the Site is Ready", lambda: condition(self.site(), "Ready") == "True", 60, every=0.2)
        wait("it has a disruption budget", lambda: "shop/PodDisruptionBudget/tieline-proxy" in self.children(), 60, every=0.5)
        self.settle()

    def secret(self, name):
        """A Secret of the site; None: there is none."""
        found = self.get(f"/api/v1/namespaces/shop/secrets/{name}")
        return json.loads(found) if found else None

    def get(self, path):
        """What the API server answers, asked beside the fault proxy; "" when it says no."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else ""
        except (OSError, http.client.HTTPException):
            return ""

    def fail(self, what, how):
        if what == SNAPSHOTS:
            return self.gateway.fail(how)
        kind, _, only = what.partition("?")
        api, _, resource = kind.rpartition("/")
        self.ask(do="fail", api=api, resource=resource, how=how, only=only)

    def failed(self, what):
        """How often it failed since."""
        if what == SNAPSHOTS:
            return self.gateway.failed
        return self.ask(do="report")["failed"].get(what.partition("?")[0], 0)

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

    def ready_since(self):
        return [condition(self.site(), "Ready", word) for word in ("status", "lastTransitionTime")]

    def readyz(self):
        """What the controller says of itself: whether it is ready, and what it adds."""
        status, text = self.look("/readyz")
        return status == 200, "" if text == "ok\n" else text

    def unreadable(self, kind):
        """What the metric says of a kind."""
        found = re.search(rf'^tieline_controller_unreadable_seconds{{kind="{re.escape(kind)}"}} (\S+)$',
                          self.look("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None

    def look(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, f"no answer: {error}"

    def heals(self, number):
        """A change of the Service reaches the configuration."""
        port = 9000 + number
        patch = {"spec": {"ports": [{"name": "tcp", "port": port, "targetPort": 8080}]}}
        self.kubectl("patch", "tsvc", "-n", "shop", "web", "--type=merge", "-p", json.dumps(patch))
        wait(f"the change to port {port} is taken up", lambda: f'"port":{port}' in self.configuration(), 90, every=0.2)
        self.settle()

    def configuration(self):
        secrets = json.loads(self.kubectl("get", "secrets", "-n", "shop", "-o", "json"))["items"]
        return "".join(
            base64.b64decode(value).decode() for secret in secrets for value in secret.get("data", {}).values()
            if secret["metadata"]["name"].startswith("tieline-proxy-part-")).replace(" ", "")


def word(what):
    """As the controller and the output call it: services, services.tieline.dev, secret-parts."""
    if what in WORDS:
        return WORDS[what]
    parts = what.split("/")
    return parts[-1] if parts[1] == "api" else f"{parts[-1]}.{parts[2]}"


def tells(world, failing, restarts):
    """Waits until what fails is told, by name, in the places that docs/reliability.md names."""
    failing = [what for what, how in failing.items() if how != "old"]
    followed = [word(what) for what in failing if what in FOLLOWED]
    leads = LEASES not in failing and not (restarts and NEEDED.intersection(failing))
    if followed and LEASES not in failing:
        # It is waited for with all kinds that are followed but budgets, which a Site works without.
        waits = restarts and followed != [word(BUDGETS)]

        def named():
            is_ready, said = world.readyz()
            return is_ready != waits and all(name in said for name in followed)
        wait(f"/readyz, {'not ready' if waits else 'ready'}, names {followed}", named, 120, every=0.2)
    for kind in followed:
        wait(f"the metric of {kind}", lambda kind=kind: world.unreadable(kind), 120, every=0.2)
    if LEASES in failing:
        wait("/readyz names the lease", lambda: "the lease cannot be read or written" in world.readyz()[1], 60, every=0.2)
    # A status that was changed behind a Site's old copy is not written.
    told = [TOLD.get(what, f"{word(what)} since") for what in failing if what not in (SITES, LEASES)] if leads else []
    if told:
        wait(f"the Site names {told}", lambda: condition(site := world.site(), "Informed") == "False" and all(
            name in condition(site, "Informed", "message") for name in told), 120, every=0.2)


def row(world, number, failing, restarts):
    before, verdict, ready = world.children(), world.verdict(), world.ready_since()
    check(ready[0] == "True", "the Site is not Ready to begin with")
    world.ask(do="arm", namespaces=PLACES, at=0, when="after")
    for what, how in failing.items():
        world.fail(what, how)
    stamp = f"example.com/row={number}"
    if restarts:
        world.ask(do="restart")
    else:
        for name in ("tsite/shop", "tlink/far", "tsvc/web"):
            world.kubectl("annotate", "-n", "shop", "--overwrite", name, stamp)
        if PARTS in failing:  # they are read anew when the head is another one than the controller's
            world.kubectl("annotate", "-n", "shop", "--overwrite", "secret/tieline-proxy", stamp)
    try:
        wait("all of it fails", lambda: all(
            how == "old" or world.failed(what) for what, how in failing.items()), 90, every=0.1)
        tells(world, failing, restarts)
        world.settle()
        report, after = world.ask(do="report"), world.children()
        removed = [path for method, path, _ in report["writes"] if method == "DELETE"]
        check(not removed, f"deleted {removed}")
        check(after == before, f"changed: {sorted(set(after.items()) ^ set(before.items()), key=str)}")
        if failing.get(OUR_SERVICES) == "old":
            lags(world, number)
        if WATCHES in failing:  # nothing waits for them: neither who leads nor what is done
            world.heals(number)
    finally:
        for what in failing:
            world.fail(what, None)
    wait("the controller is ready", lambda: world.readyz() == (True, ""), 90, every=0.2)
    wait(f"the Site says {verdict}", lambda: world.verdict() == verdict, 60, every=0.2)
    # Whether a gateway that is silent has what was programmed is not known.
    if SNAPSHOTS not in failing:
        check(world.ready_since() == ready, f"Ready changed: {ready}, {world.ready_since()}")
    if WATCHES not in failing:
        world.heals(number)


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
    for what in [*FOLLOWED, *READ, LEASES]:
        if options.inputs and word(what) not in options.inputs:
            continue
        for failure in FAILURES:
            yield {what: failure}, True
            yield {what: failure}, False
        if what in FOLLOWED:
            yield {what: "old"}, False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("inputs", nargs="*", help="words of the output, as pods")
    options = parser.parse_args()
    if os.environ.get("TIELINE_UNKNOWN_INPUTS") != "alone":
        # In a network of its own, where the gateway has its address.
        os.environ["TIELINE_UNKNOWN_INPUTS"] = "alone"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", f'ip link set lo up && ip addr add {Gateway.ADDRESS}/32 dev lo && exec "$@"', "sh", sys.executable,
                              *sys.argv])
    held, failed = 0, 0
    with tempfile.TemporaryDirectory() as scratch, World(scratch) as world:
        for number, (failing, restarts) in enumerate(rows(options)):
            what = ", ".join(f"{word(kind)} {how}" for kind, how in failing.items())
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

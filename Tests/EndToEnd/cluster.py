"""One test cluster: hack/cluster.sh, kubectl, and waiting for a condition with a deadline."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("TIELINE_BIN", ROOT / ".build" / "release"))


class Failed(Exception):
    """A check that did not hold, with what was seen."""


def check(holds, message):
    if not holds:
        raise Failed(message)


def wait(what, probe, seconds=30.0, every=0.05):
    """Calls `probe` until it returns something true in time, and returns that; the last answer is in the error."""
    deadline = time.monotonic() + seconds
    seen = None
    while True:
        try:
            seen = probe()
            if seen and time.monotonic() <= deadline:
                return seen
        except (subprocess.CalledProcessError, KeyError, IndexError) as error:
            seen = getattr(error, "stderr", None) or repr(error)
        if time.monotonic() > deadline:
            late = ", too late" if seen else ""
            raise Failed(f"not within {seconds:g} s: {what}; last seen{late}: {seen}")
        time.sleep(every)


class Cluster:
    """A running cluster; use as a context manager, so that it goes whatever happens.

    Each run has one of its own, so that several checkouts can run; with TIELINE_KEEP it has a name to find it by.
    """

    running = []

    def __init__(self, name=None, families="ipv4"):
        self.families = families
        self.name = name or ("e2e" if os.environ.get("TIELINE_KEEP") else f"e2e-{os.getpid()}")
        self.env = dict(os.environ, TIELINE_CLUSTER=self.name)

    def __enter__(self):
        self.sweep()
        self.running.append(self)
        try:
            self.script("up", "--families", self.families, timeout=600)
            for line in self.script("env").splitlines():
                key, _, value = line.removeprefix("export ").partition("=")
                if key:
                    self.env[key] = value.strip("'\"")
        except BaseException:
            self.running.remove(self)
            self.script("down")
            raise
        return self

    def sweep(self):
        """Ends what interrupted runs left: clusters that are named by a process that is gone, and this one's name."""
        for line in self.script("list").splitlines():
            name = line.split()[0]
            owner = name.removeprefix("e2e-").split("-")[0]  # e2e-PID, e2e-PID-NUMBER
            if name.startswith("e2e-") and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                self.script("down", "--name", name)
        self.script("down")

    def __exit__(self, *_):
        self.running.remove(self)
        if not os.environ.get("TIELINE_KEEP"):
            self.script("down", timeout=60)

    def script(self, *arguments, timeout=60):
        return self.run([str(ROOT / "hack" / "cluster.sh"), *arguments], timeout=timeout)

    def run(self, command, timeout=60, stdin=None):
        done = subprocess.run(
            command, env=self.env, timeout=timeout, input=stdin, text=True, capture_output=True)
        if done.returncode:
            raise subprocess.CalledProcessError(
                done.returncode, " ".join(command), done.stdout, done.stderr.strip())
        return done.stdout

    # kubectl

    def kubectl(self, *arguments, stdin=None, timeout=60):
        return self.run(["kubectl", *arguments], stdin=stdin, timeout=timeout)

    def kubectl_json(self, *arguments):
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def kubectl_fails(self, *arguments, stdin=None):
        """Runs kubectl, which must fail, and returns what it said."""
        done = subprocess.run(
            ["kubectl", *arguments], env=self.env, input=stdin, text=True, capture_output=True)
        check(done.returncode != 0, f"kubectl {' '.join(arguments)} should have failed: {done.stdout}")
        return done.stderr

    def apply(self, *objects):
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.kubectl("apply", "-f", "-", stdin=items)

    def wait_served(self):
        """Returns when the API server serves the custom resources that were just applied."""
        self.run([str(ROOT / "hack/apiserver/served.sh"),
                  *(f"{kind}.tieline.dev" for kind in ("sites", "links", "services"))])

    @contextlib.contextmanager
    def applied(self, *objects):
        """Objects that are there for the body only."""
        self.apply(*objects)
        try:
            yield
        finally:
            items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
            self.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=items)

    def get(self, kind, namespace, name=None, selector=None):
        command = ["get", kind, "-n", namespace, "-o", "json"]
        if name:
            command.append(name)
        if selector:
            command += ["-l", selector]
        return json.loads(self.kubectl(*command))

    def exists(self, kind, namespace, name):
        found = self.kubectl("get", kind, "-n", namespace, name, "--ignore-not-found", "-o", "name")
        return bool(found.strip())

    def patch(self, kind, namespace, name, body):
        self.kubectl("patch", kind, "-n", namespace, name, "--type", "merge", "-p", json.dumps(body))

    @contextlib.contextmanager
    def patch_at_once(self, kind, namespace, name):
        """Gives what patches that object as soon as it is called: kubectl, whose start takes seconds on a busy machine, waits."""
        command = ["kubectl", "patch", kind, "-n", namespace, name, "--type", "merge", "--patch-file", "/dev/stdin"]
        process = subprocess.Popen(command, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def patch(body):
            _, errors = process.communicate(json.dumps(body), timeout=60)
            check(process.returncode == 0, f"{' '.join(command)}: {errors}")
        try:
            yield patch
        finally:
            process.kill()
            process.wait()

    def pods(self, namespace, selector, terminating=False):
        items = self.get("pods", namespace, selector=selector)["items"]
        return [pod for pod in items if terminating or "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self, namespace, selector):
        return [pod for pod in self.pods(namespace, selector) if condition(pod, "Ready") == "True"]

    def wait_ready(self, namespace, selector, count, seconds=40):
        return wait(
            f"{count} ready pods {selector} in {namespace}",
            lambda: len(found := self.ready_pods(namespace, selector)) == count and found, seconds)

    # processes

    def pid(self, pod, container=None):
        meta = pod["metadata"]
        arguments = ["pid", f"{meta['namespace']}/{meta['name']}"] + ([container] if container else [])
        return int(self.script(*arguments))

    def signal(self, pod, number, container=None):
        os.kill(self.pid(pod, container), number)

    def kill(self, pod, container=None):
        self.signal(pod, signal.SIGKILL, container)

    def exec(self, command, pod=None, container=None):
        """Starts a command in the network of a pod, or of the node; with `container` in that container's file system as well."""
        where = ["--pod", pod] if pod else []
        where += ["--container", container] if container else []
        return subprocess.Popen(
            [str(ROOT / "hack" / "cluster.sh"), "exec", *where, *command], env=self.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1)


def end_with_clusters():
    """At SIGTERM the clusters of this process go with it, whatever its threads are at."""
    def end(*_):
        for cluster in Cluster.running:
            cluster.script("down")
        os._exit(143)
    signal.signal(signal.SIGTERM, end)


def condition(item, kind, field="status"):
    for entry in item.get("status", {}).get("conditions", []):
        if entry["type"] == kind:
            return entry.get(field)
    return None

"""Called by check-chart.sh: check-chart.py CHART STATE PROGRAMS. Compares, lints, installs, tests, upgrades and uninstalls the chart."""

import difflib
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import helm_python as helm
import yaml

chart_path, state, programs = sys.argv[1:]
NAMESPACE = "tieline-system"
DIGEST = "sha256:" + "0" * 64
KEEP = {"helm.sh/resource-policy": "keep"}


def objects(texts):
    found = {}
    for text in texts:
        for o in yaml.safe_load_all(text):
            if o:
                key = (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])
                assert key not in found, f"twice: {key}"
                found[key] = o
    return found


def fail(message):
    sys.exit(f"hack/check-chart.sh: {message}")


def render(chart, values=None):
    rendered = chart.render(values, name="tieline", namespace=NAMESPACE)
    return objects(text for path, text in rendered.items() if not path.endswith("NOTES.txt"))


def is_hook(o):
    return "helm.sh/hook" in (o["metadata"].get("annotations") or {})


def compare(chart):
    """The chart makes every object of manifests/ as it is, but for the namespace itself, the CRDs' annotation and hooks."""
    wanted = objects([open(f"{state}/manifests.yaml").read()])
    del wanted[("Namespace", "", NAMESPACE)]
    for (kind, _, _), o in wanted.items():
        if kind == "CustomResourceDefinition":
            o["metadata"]["annotations"] = KEEP
    got = {key: o for key, o in render(chart).items() if not is_hook(o)}
    differences = []
    for key in sorted(wanted.keys() | got.keys()):
        texts = [yaml.safe_dump(side[key]).splitlines() if key in side else [] for side in (wanted, got)]
        name = "/".join(filter(None, key))
        differences += difflib.unified_diff(*texts, f"manifests {name}", f"chart {name}", lineterm="")
    if differences:
        fail("the chart differs from manifests/:\n" + "\n".join(differences))
    return len(wanted)


def check_values(chart):
    """The values do what they say, and the schema refuses others."""
    kinds = lambda found: {kind for kind, _, _ in found}
    if "CustomResourceDefinition" in kinds(render(chart, {"crds": {"enabled": False}})):
        fail("crds.enabled=false renders CRDs")
    crd = ("CustomResourceDefinition", "", "sites.tieline.dev")
    if "annotations" in render(chart, {"crds": {"keep": False}})[crd]["metadata"]:
        fail("crds.keep=false keeps CRDs")
    if any(is_hook(o) and o["metadata"]["name"] == "tieline-uninstall" for o in render(chart, {"releaseFinalizers": False}).values()):
        fail("releaseFinalizers=false renders the hook")
    if "MutatingWebhookConfiguration" in kinds(render(chart, {"injection": {"enabled": False}})):
        fail("injection.enabled=false renders the webhook")
    view = render(chart, {"rbac": {"aggregate": False}})[("ClusterRole", "", "tieline-view")]
    if len(view["metadata"]["labels"]) != 1:
        fail("rbac.aggregate=false aggregates")
    values = {
        "imagePullSecrets": [{"name": "pull"}],
        "controller": {
            "replicas": 1,
            "image": {"repository": "r.example.com/c", "tag": "v1", "pullPolicy": "Always"},
            "resources": {"limits": {"cpu": "1"}},
            "logLevel": "debug",
            "logFormat": "json",
            "extraArgs": ["--context=x"],
            "extraEnv": [{"name": "A", "value": "b"}],
            "podLabels": {"team": "net"},
            "podAnnotations": {"a": "b"},
            "priorityClassName": "p",
            "nodeSelector": {"n": "s"},
            "tolerations": [{"key": "t"}],
            "affinity": {"nodeAffinity": {}},
        },
        "proxy": {"image": {"repository": "r.example.com/p", "pullPolicy": "Never", "tag": "v1", "digest": DIGEST}},
        "serviceAccount": {"annotations": {"c": "d"}},
        "metrics": {"service": True, "podMonitor": True, "podMonitorLabels": {"release": "prometheus"}},
        "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}], "apiServerPorts": [6443]},
    }
    found = render(chart, values)
    deployment = found[("Deployment", NAMESPACE, "tieline-controller")]["spec"]
    policy = found[("NetworkPolicy", NAMESPACE, "tieline-controller")]["spec"]
    monitor = found[("PodMonitor", NAMESPACE, "tieline-proxy")]
    service = found[("Service", NAMESPACE, "tieline-controller-metrics")]["spec"]
    account = found[("ServiceAccount", NAMESPACE, "tieline-controller")]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    uninstall = found[("Pod", NAMESPACE, "tieline-uninstall")]["spec"]
    wanted = [
        (uninstall["containers"][0]["image"], "r.example.com/c:v1"),
        (uninstall["imagePullSecrets"], [{"name": "pull"}]),
        (deployment["replicas"], 1),
        (deployment["template"]["metadata"]["annotations"], {"a": "b"}),
        (pod["imagePullSecrets"], [{"name": "pull"}]),
        (pod["priorityClassName"], "p"),
        (pod["nodeSelector"], {"n": "s"}),
        (pod["tolerations"], [{"key": "t"}]),
        (pod["affinity"], {"nodeAffinity": {}}),
        (container["image"], "r.example.com/c:v1"),
        (container["imagePullPolicy"], "Always"),
        (container["resources"]["limits"]["cpu"], "1"),
        (f"--proxy-image=r.example.com/p@{DIGEST}" in container["args"], True),
        (container["args"][-3:], ["--log-level=debug", "--log-format=json", "--context=x"]),
        (container["env"][-1], {"name": "A", "value": "b"}),
        (deployment["template"]["metadata"]["labels"]["team"], "net"),
        (account["metadata"]["annotations"], {"c": "d"}),
        (monitor["metadata"]["labels"]["release"], "prometheus"),
        (service["selector"].items() <= deployment["template"]["metadata"]["labels"].items(), True),
        (policy["podSelector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items(), True),
        (policy["ingress"][0]["from"], [{"namespaceSelector": {}}]),
        ([p["port"] for p in policy["ingress"][1]["ports"]], [8443]),
        ([p["port"] for p in policy["egress"][0]["ports"]], [53, 53, 6443]),
        ("--proxy-pull-policy=Never" in container["args"], True),
    ]
    for got, value in wanted:
        if got != value:
            fail(f"a value is not rendered: wanted {value!r}, got {got!r}")
    for wrong in ({"proxy": {"image": {"digest": "latest"}}}, {"controler": {}}, {"controller": {"replicas": "two"}}, {"crds": {"enabled": "yes"}}, {"controller": {"logFormat": "xml"}}):
        try:
            chart.validate_schema(wrong)
        except helm.HelmError:
            continue
        fail(f"values.schema.json accepts {wrong}")


SITE = {"apiVersion": "tieline.dev/v1alpha1", "kind": "Site", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"linkAccess": {"type": "ClusterIP"}}}
EXPOSED = {"apiVersion": "tieline.dev/v1alpha1", "kind": "Service",
           "metadata": {"name": "web", "namespace": "shop", "finalizers": ["example.com/other"]},
           "spec": {"ports": [{"name": "http", "port": 80}], "listen": {"namespaces": {"matchLabels": {"tieline.dev/allow-from": "shop"}}}}}


def grown_chart():
    """A copy of the chart as a later version may be: Sites have one more field."""
    grown = f"{state}/grown"
    shutil.copytree(chart_path, grown)
    path = f"{grown}/files/crds/sites.yaml"
    with open(path) as file:
        crd = yaml.safe_load(file)
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["fieldOfLater"] = {"type": "string"}
    with open(path, "w") as file:
        yaml.safe_dump(crd, file)
    return grown


def kubectl(*words, stdin=None):
    done = subprocess.run(["kubectl", *words], text=True, input=stdin, capture_output=True)
    if done.returncode:
        fail(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def wait(what, probe, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            fail(f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return found


class Node:
    """What a cluster would do and a bare API server does not: runs the controller, and the Pods of hooks, with the rights of
    their accounts; the controller goes when its Deployment is scaled to 0."""

    def __init__(self):
        self.controller = None
        self.ran = []
        self.problem = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def command(self, account, *arguments):
        """The program with these arguments, as that account."""
        path = f"{state}/{account}.kubeconfig"
        with open(f"{state}/kubeconfig") as file:
            config = yaml.safe_load(file)
        token = kubectl("create", "token", "-n", NAMESPACE, account)
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        with open(path, "w") as file:
            yaml.safe_dump(config, file)
        environment = dict(os.environ, KUBECONFIG=path, POD_NAMESPACE=NAMESPACE)
        return dict(args=[f"{programs}/tieline-controller", *arguments], env=environment, text=True)

    def start_controller(self):
        meta = {"name": "controller", "namespace": NAMESPACE,
                "labels": {"app.kubernetes.io/name": "tieline", "app.kubernetes.io/component": "controller"}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta,
               "spec": {"serviceAccountName": "tieline-controller", "containers": [{"name": "c", "image": "c"}]}}
        kubectl("create", "-f", "-", stdin=yaml.safe_dump(pod))
        command = self.command("tieline-controller", "run", "--proxy-image=p", "--admin=127.0.0.1:0")
        self.controller = subprocess.Popen(**command, stderr=open(f"{state}/controller.log", "w"))
        kubectl("patch", "deployment", "-n", NAMESPACE, "tieline-controller", "--subresource=status", "--type=merge",
                "-p", '{"status": {"replicas": 1, "readyReplicas": 1}}')

    def watch(self):
        try:
            while not self.stopped.wait(0.3):
                self.look()
        except BaseException as error:  # told by the one who waits for the hook
            self.problem = error

    def get(self, *what):
        return json.loads(kubectl("get", "-n", NAMESPACE, "--ignore-not-found", "-o", "json", *what) or "{}")

    def scale(self):
        if self.controller and self.get("deployment", "tieline-controller").get("spec", {}).get("replicas") == 0:
            self.controller.terminate()
            self.controller.wait(20)
            self.controller = None
            kubectl("delete", "pod", "-n", NAMESPACE, "controller", "--grace-period=0", "--force")

    def look(self):
        self.scale()
        for name in ("tieline-check", "tieline-uninstall"):
            pod = self.get("pod", name)
            if pod.get("status", {}).get("phase") == "Pending":
                phase = "Succeeded" if self.run(pod["spec"]) else "Failed"
                kubectl("patch", "pod", "-n", NAMESPACE, name, "--subresource=status", "--type=merge",
                        "-p", json.dumps({"status": {"phase": phase}}))

    def run(self, pod):
        container = pod["containers"][0]
        done = subprocess.Popen(**self.command(pod["serviceAccountName"], *container["args"]), stderr=subprocess.PIPE)
        while done.poll() is None:
            self.scale()
            time.sleep(0.3)
        said = done.stderr.read()
        print(f"   {container['args'][0]}: exit code {done.returncode}: {said.strip()}")
        self.ran.append((container["args"][0], done.returncode))
        return done.returncode == 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        if self.controller:
            self.controller.kill()
            self.controller.wait()
        if self.problem:
            raise self.problem


def check_release(node):
    """Helm installs the chart on a real API server, tests it, upgrades it, and leaves the CRDs and the objects at the end."""
    release = helm.Config(kubeconfig_path=f"{state}/kubeconfig", namespace=NAMESPACE)
    release.install(chart_path, "tieline", namespace=NAMESPACE, create_namespace=True)
    early = subprocess.run(**node.command("tieline-controller", "check", "--wait=0"), capture_output=True)
    if early.returncode != 1 or "FAILED: a controller leads" not in early.stderr:
        fail(f"without a controller the check says {early.returncode}: {early.stderr}")
    node.start_controller()
    release.test("tieline", timeout=120)
    if ("check", 0) not in node.ran:
        fail(f"helm test ran {node.ran}")
    release.upgrade(chart_path, "tieline", {"controller": {"replicas": 1}, "metrics": {"service": True},
                                            "networkPolicy": {"enabled": True}}, namespace=NAMESPACE)
    replicas = kubectl("get", "deployment", "-n", NAMESPACE, "tieline-controller", "-o", "jsonpath={.spec.replicas}")
    if replicas != "1":
        fail(f"an upgrade to 1 replica left {replicas}")
    for namespace in ("shop", "other"):
        kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", "other", "tieline.dev/allow-from=shop")
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(SITE))
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(EXPOSED))
    finalizers = lambda: kubectl("get", "tsvc", "-n", "shop", "web", "-o", "jsonpath={.metadata.finalizers[*]}")
    wait("the controller sets its finalizer", lambda: finalizers() == "example.com/other tieline.dev/exposure")
    release.upgrade(grown_chart(), "tieline", namespace=NAMESPACE)
    later = lambda: kubectl("get", "tsite", "-n", "shop", "shop", "-o", "jsonpath={.spec.linkAccess.type} {.spec.fieldOfLater}")

    def keeps():
        kubectl("patch", "tsite", "-n", "shop", "shop", "--type", "merge", "-p", '{"spec": {"fieldOfLater": "kept"}}')
        return later() == "ClusterIP kept"
    # Definitions take effect a moment after they are stored.
    wait("a Site has the field of the upgraded definitions", keeps)
    release.uninstall("tieline", timeout=120)
    if node.ran[-1] != ("release-finalizers", 0) or node.controller:
        fail(f"uninstalling ran {node.ran}; the controller {'runs on' if node.controller else 'was stopped'}")
    if finalizers() != "example.com/other":
        fail(f"uninstalling left the finalizers {finalizers()!r}")
    if later() != "ClusterIP kept":
        fail("uninstalling did not leave the Sites")
    left = kubectl("get", "deployments,clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,pods", "-A",
                   "-l", "app.kubernetes.io/name=tieline", "-o", "name")
    if left:
        fail(f"uninstalling left objects behind: {left}")
    if len(kubectl("get", "crd", "-o", "name").splitlines()) != 3:
        fail("uninstalling did not leave the CRDs")


report = helm.lint(chart_path, strict=True)
if report["errors"]:
    fail(f"helm lint: {report}")
with helm.Chart.load(chart_path) as chart:
    count = compare(chart)
    check_values(chart)
with Node() as node:
    check_release(node)
print(f"hack/check-chart.sh: {count} objects equal; values, schema, lint, install, test, upgrade and uninstall hold")

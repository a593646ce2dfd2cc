"""Called by check-chart.sh: check-chart.py CHART STATE. Compares, lints, installs, upgrades and uninstalls the chart."""

import difflib
import shutil
import subprocess
import sys

import helm_python as helm
import yaml

chart_path, state = sys.argv[1:]
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


def compare(chart):
    """The chart makes every object of manifests/ as it is, but for the namespace itself and the CRDs' annotation."""
    wanted = objects([open(f"{state}/manifests.yaml").read()])
    del wanted[("Namespace", "", NAMESPACE)]
    for (kind, _, _), o in wanted.items():
        if kind == "CustomResourceDefinition":
            o["metadata"]["annotations"] = KEEP
    got = render(chart)
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
    wanted = [
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
        (container["args"][-2:], ["--log-level=debug", "--context=x"]),
        (container["env"][-1], {"name": "A", "value": "b"}),
        (deployment["template"]["metadata"]["labels"]["team"], "net"),
        (account["metadata"]["annotations"], {"c": "d"}),
        (monitor["metadata"]["labels"]["release"], "prometheus"),
        (service["selector"].items() <= deployment["template"]["metadata"]["labels"].items(), True),
        (policy["podSelector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items(), True),
        (policy["ingress"][0]["from"], [{"namespaceSelector": {}}]),
        ([p["port"] for p in policy["egress"][0]["ports"]], [53, 53, 6443]),
        ("--proxy-pull-policy=Never" in container["args"], True),
    ]
    for got, value in wanted:
        if got != value:
            fail(f"a value is not rendered: wanted {value!r}, got {got!r}")
    for wrong in ({"proxy": {"image": {"digest": "latest"}}}, {"controler": {}}, {"controller": {"replicas": "two"}}, {"crds": {"enabled": "yes"}}):
        try:
            chart.validate_schema(wrong)
        except helm.HelmError:
            continue
        fail(f"values.schema.json accepts {wrong}")


SITE = {"apiVersion": "tieline.dev/v1alpha1", "kind": "Site", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"linkAccess": {"type": "ClusterIP"}}}


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


def check_release():
    """Helm installs the chart on a real API server, upgrades it, and leaves the CRDs and the objects at the end."""
    release = helm.Config(kubeconfig_path=f"{state}/kubeconfig", namespace=NAMESPACE)
    release.install(chart_path, "tieline", namespace=NAMESPACE, create_namespace=True)
    release.upgrade(chart_path, "tieline", {"controller": {"replicas": 1}, "metrics": {"service": True},
                                            "networkPolicy": {"enabled": True}}, namespace=NAMESPACE)
    kubectl = lambda *words, stdin=None: subprocess.run(
        ["kubectl", *words], check=True, text=True, stdout=subprocess.PIPE, input=stdin).stdout.strip()
    replicas = kubectl("get", "deployment", "-n", NAMESPACE, "tieline-controller", "-o", "jsonpath={.spec.replicas}")
    if replicas != "1":
        fail(f"an upgrade to 1 replica left {replicas}")
    kubectl("create", "namespace", "shop")
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(SITE))
    release.upgrade(grown_chart(), "tieline", namespace=NAMESPACE)
    kubectl("patch", "tsite", "-n", "shop", "shop", "--type", "merge", "-p", '{"spec": {"fieldOfLater": "kept"}}')
    later = lambda: kubectl("get", "tsite", "-n", "shop", "shop", "-o", "jsonpath={.spec.linkAccess.type} {.spec.fieldOfLater}")
    if later() != "ClusterIP kept":
        fail(f"an upgrade of the definitions left {later()!r} of a Site")
    release.uninstall("tieline")
    if later() != "ClusterIP kept":
        fail("uninstalling did not leave the Sites")
    if kubectl("get", "deployments,clusterroles", "-A", "-l", "app.kubernetes.io/name=tieline", "-o", "name"):
        fail("uninstalling left objects behind")
    if len(kubectl("get", "crd", "-o", "name").splitlines()) != 3:
        fail("uninstalling did not leave the CRDs")


report = helm.lint(chart_path, strict=True)
if report["errors"]:
    fail(f"helm lint: {report}")
with helm.Chart.load(chart_path) as chart:
    count = compare(chart)
    check_values(chart)
check_release()
print(f"hack/check-chart.sh: {count} objects equal; values, schema, lint, install, upgrade and uninstall hold")

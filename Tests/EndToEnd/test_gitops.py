"""What Git says stays what the cluster says: nobody but the user writes a spec."""
import pathlib
import shutil
import subprocess
import tempfile

from cluster import BIN, ROOT, check, wait
from network import API
from traffic import Hold

SAMPLES = ROOT / "manifests" / "samples"
KINDS = {"Site": "sites.tieline.dev", "Link": "links.tieline.dev", "Service": "services.tieline.dev"}


class Folder:
    """A folder of manifests that is applied as a whole."""

    def __init__(self, net, path):
        self.cluster = net.cluster
        self.net = net
        self.path = str(path)

    def __enter__(self):
        self.cluster.kubectl("apply", "-k", self.path)
        return self

    def __exit__(self, *_):
        self.cluster.kubectl("delete", "-k", self.path, "--ignore-not-found", "--wait=false")

    def items(self):
        """Our objects in it: (resource, namespace, name)."""
        lines = self.cluster.kubectl(
            "get", "-k", self.path, "--no-headers",
            "-o", "custom-columns=V:.apiVersion,K:.kind,N:.metadata.namespace,M:.metadata.name").splitlines()
        found = [(KINDS[kind], where, name) for version, kind, where, name in map(str.split, lines) if version == API]
        check(found, f"{self.path} holds objects of ours")
        return found

    def expect_no_difference(self, when):
        done = subprocess.run(["kubectl", "diff", "-k", self.path], env=self.cluster.env, text=True, capture_output=True)
        check(done.returncode == 0, f"kubectl diff {when}: {done.stdout}{done.stderr}")

    def expect_unwritten(self, generation=1):
        """Applying again changes nothing, and no spec was ever written but by applying."""
        again = self.cluster.kubectl("apply", "-k", self.path)
        changed = [line for line in again.splitlines() if not line.endswith("unchanged")]
        check(not changed, f"the second apply changes nothing: {changed}")
        for kind, where, name in self.items():
            meta = self.cluster.kubectl_json("get", kind, "-n", where, name, "--show-managed-fields")["metadata"]
            check(meta["generation"] <= generation, f"somebody wrote the spec of {kind} {where}/{name}")
            writers = {entry["manager"] for entry in meta["managedFields"] if "f:spec" in entry.get("fieldsV1", {})}
            check(writers == {"kubectl-client-side-apply"}, f"{writers} own spec fields of {kind} {where}/{name}")


def test_samples_applied_twice_show_no_difference(net):
    with Folder(net, SAMPLES) as folder:
        for kind, where, name in folder.items():
            net.wait_ready(kind, where, name, 60)
        folder.expect_no_difference("after the controller acted")
        folder.expect_unwritten()
        folder.expect_no_difference("at the end")


def test_a_network_in_git_shows_no_difference_while_its_statuses_change(net):
    """The sample of three sites with the Links as a user would commit them, in use by a sidecar."""
    with tempfile.TemporaryDirectory(prefix="tieline-git-") as path:
        shutil.copytree(SAMPLES / "three-sites", path, dirs_exist_ok=True)
        with Folder(net, path) as folder:
            commit_links(net, pathlib.Path(path))
            net.cluster.kubectl("apply", "-k", path)  # the Sites' `allow` is new: their second generation
            for kind, where, name in folder.items():
                net.wait_ready(kind, where, name, 60)
            net.cluster.kubectl("rollout", "status", "-n", "north", "deployment/client", "--timeout=60s")
            folder.expect_no_difference("before there was traffic")
            statuses_change(net)
            folder.expect_no_difference("after the statuses changed")
            folder.expect_unwritten(generation=2)
            folder.expect_no_difference("at the end")


def commit_links(net, folder):
    """What a user adds to the folder once the Sites have their identities."""
    site = lambda name: net.cluster.get("tsite", name, name).get("status", {})
    north = wait("north has an identity", lambda: site("north").get("siteID"), 60)
    kustomization = (folder / "kustomization.yaml").read_text()
    patches = "\npatches:\n"
    for name, cost in (("east", 1), ("west", 20)):
        wait(f"{name} can be reached", lambda: site(name).get("endpoints"), 60)
        link = net.cluster.run([str(BIN / "tieline"), "link", "generate", "-n", name, "--cost", str(cost)])
        (folder / f"link-{name}.yaml").write_text(in_namespace(link, "north"))
        kustomization += f"- link-{name}.yaml\n"
        patches += (f"- target: {{kind: Site, namespace: {name}}}\n  patch: |\n"
                    f"    - {{op: add, path: /spec/allow, value: [{{siteID: {north}, name: north}}]}}\n")
    (folder / "kustomization.yaml").write_text(kustomization + patches)


def in_namespace(manifest, namespace):
    check("namespace:" not in manifest, f"a generated Link names no namespace: {manifest}")
    return manifest.replace("metadata:\n", f"metadata:\n  namespace: {namespace}\n", 1)


def statuses_change(net):
    """Connections through the sidecar, seen in the statuses of Service and Link, and gone again."""
    def active():
        get = lambda kind, name: net.cluster.get(kind, "north", name)["status"].get("connections", {}).get("active", 0)
        return get("tsvc", "web"), get("tlink", "east") + get("tlink", "west")

    pod = net.cluster.wait_ready("north", "app=client", 1)[0]["metadata"]["name"]
    with Hold(net.cluster, "127.0.0.1:8080", pod=f"north/{pod}", http=True) as clients:
        by_server = clients.open(25)
        print(f"   the sidecar's 25 connections: {by_server}")
        wait("25 connections are in the statuses", lambda: active() == (25, 25))
    wait("and gone again", lambda: active() == (0, 0))

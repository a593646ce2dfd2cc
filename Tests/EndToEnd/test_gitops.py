"""What Git says stays what the cluster says: nobody but the user writes a spec."""
import subprocess

from cluster import ROOT, check

SAMPLES = str(ROOT / "manifests" / "samples")


def no_difference(net, when):
    done = subprocess.run(["kubectl", "diff", "-k", SAMPLES], env=net.cluster.env, text=True, capture_output=True)
    check(done.returncode == 0, f"kubectl diff {when}: {done.stdout}{done.stderr}")


def test_samples_applied_twice_show_no_difference(net):
    net.cluster.kubectl("apply", "-k", SAMPLES)
    sites = [line.split() for line in net.cluster.kubectl(
        "get", "-k", SAMPLES, "-o", "custom-columns=K:.kind,N:.metadata.namespace,M:.metadata.name",
        "--no-headers").splitlines()]
    ours = [(kind, where, name) for kind, where, name in sites if kind in ("Site", "Link", "Service")]
    ours = [(f"{kind.lower()}s.tieline.dev", where, name) for kind, where, name in ours
            if net.cluster.exists(f"{kind.lower()}s.tieline.dev", where, name)]
    check(ours, "the samples hold objects of ours")
    for kind, where, name in ours:
        net.wait_ready(kind, where, name, 60)
    no_difference(net, "after the controller acted")
    again = net.cluster.kubectl("apply", "-k", SAMPLES)
    changed = [line for line in again.splitlines() if not line.endswith("unchanged")]
    check(not changed, f"the second apply changes nothing: {changed}")
    for kind, where, name in ours:
        item = net.cluster.get(kind, where, name)
        check(item["metadata"]["generation"] == 1, f"somebody wrote the spec of {kind} {where}/{name}")
        writers = {entry["manager"] for entry in item["metadata"].get("managedFields", [])
                   if "f:spec" in entry.get("fieldsV1", {})}
        check(not any("tieline" in writer for writer in writers), f"{writers} own spec fields of {name}")
    no_difference(net, "at the end")
    net.cluster.kubectl("delete", "-k", SAMPLES, "--wait=false")

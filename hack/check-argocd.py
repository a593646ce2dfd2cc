#!/usr/bin/env python3
"""Shows that manifests/argocd/health.lua judges as kstatus does, for every combination of what it looks at, and that the patch for
Argo CD has that text for each kind. (What was stored in a real cluster is judged in Tests/EndToEnd, `verdict`.)

It needs `lua5.1`, or the LUA that is named.
"""
import itertools
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from argocd import HEALTH, VERDICTS, faults, health  # noqa: E402


def combinations():
    """Every state of what the verdict depends on."""
    values = [None, "True", "False", "Unknown"]
    for observed, ready, reconciling, stalled, deleted in itertools.product(
            [None, 1, 2], values, values, values, [None, "2026-01-01T00:00:00Z"]):
        found = {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled, "Accepted": "True"}
        conditions = [{"type": name, "status": status, "reason": "Why", "message": f"{name} \"it\"\nis"}
                      for name, status in found.items() if status]
        yield {"metadata": {"name": "a", "generation": 2, "deletionTimestamp": deleted},
               "status": {"observedGeneration": observed, "conditions": conditions}}


def main():
    bare = [{"metadata": {"generation": 1}}, {"metadata": {"generation": 1}, "status": {"summary": "Pending"}}]
    objects = [*combinations(), *bare]
    wrong = faults(objects)
    if {status for status, _ in health(objects)} != set(VERDICTS.values()):
        wrong.append("not every verdict came up")
    patch = (ROOT / "manifests" / "argocd" / "argocd-cm.yaml").read_text()
    text = "".join(f"    {line}\n" if line else "\n" for line in HEALTH.read_text().splitlines())
    for kind in ["Site", "Link", "Service"]:
        if f"  resource.customizations.health.tieline.dev_{kind}: |\n{text}" not in patch:
            wrong.append(f"argocd-cm.yaml has another text than health.lua for {kind}")
    for line in wrong[:10]:
        print(f"hack/check-argocd.py: {line}", file=sys.stderr)
    print(f"hack/check-argocd.py: {len(objects)} states judged, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

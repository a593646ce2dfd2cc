"""What Argo CD makes of objects, by our health check, which its language version (Lua 5.1) runs."""
import json
import os
import subprocess
import tempfile

from cluster import ROOT, Failed
from verdict import CURRENT, FAILED, IN_PROGRESS, kstatus

HEALTH = ROOT / "manifests" / "argocd" / "health.lua"
VERDICTS = {CURRENT: "Healthy", IN_PROGRESS: "Progressing", FAILED: "Degraded"}
RUN = """
local judge = assert(loadfile(arg[1]))
for _, one in ipairs(objects) do
  obj = one
  local health = judge()
  print(health.status .. "\\t" .. (string.gsub(health.message or "", "%s", " ")))
end
"""


def literal(value):
    """A value as Lua writes it, the way Argo CD hands objects over."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{literal(key)}] = {literal(inner)}" for key, inner in value.items() if inner is not None) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(literal, value)) + "}"
    return json.dumps(value, ensure_ascii=False)


def health(objects):
    """The status and the message that the health check gives each object."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"objects = {literal(objects)}\n{RUN}")
        script.flush()
        run = subprocess.run([os.environ.get("LUA", "lua5.1"), script.name, str(HEALTH)], text=True, capture_output=True)
    if run.returncode:
        raise Failed(f"{HEALTH}: {run.stderr}")
    return [tuple(line.split("\t", 1)) for line in run.stdout.splitlines()]


def wanted(item):
    """As kstatus judges; but an object is not healthy before somebody has said so, and while it goes it makes progress."""
    status = item.get("status") or {}
    if status.get("observedGeneration") is None or item["metadata"].get("deletionTimestamp"):
        return VERDICTS[IN_PROGRESS]
    verdict = kstatus(item)
    if verdict == CURRENT and not any(one["type"] == "Ready" for one in status.get("conditions", [])):
        return VERDICTS[IN_PROGRESS]
    return VERDICTS[verdict]


def faults(objects):
    """The objects of which Argo CD thinks otherwise, or says nothing, each with what it says."""
    return [f"{json.dumps(item)}: {status} ({message}), not {wanted(item)}"
            for item, (status, message) in zip(objects, health(objects), strict=True)
            if status != wanted(item) or not message.strip(" :")]

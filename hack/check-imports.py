#!/usr/bin/env python3
"""Checks the import table: which target may import what, and what the pure ones must not use.

Imports go downwards only. The table names direct imports; a module that is not named in a row is refused there.
"""
import pathlib
import re
import sys

SYSTEM = {"Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Synchronization"}

# target: (targets of this package, libraries)
TABLE = {
    "NetworkModel": (set(), set()),
    "ProxyContract": ({"NetworkModel"}, {"FoundationEssentials"}),
    "Routing": ({"NetworkModel"}, {"DequeModule", "HeapModule"}),
    "Balancing": ({"NetworkModel"}, set()),
    "Wire": ({"Routing", "NetworkModel"}, set()),
    "Streaming": ({"Wire", "Balancing", "NetworkModel"}, set()),
    "KubernetesAPI": ({"NetworkModel"}, {"FoundationEssentials"}),
    "NetworkAPI": ({"KubernetesAPI", "ProxyContract", "NetworkModel"}, {"FoundationEssentials"}),
    "Injection": ({"NetworkAPI", "KubernetesAPI", "NetworkModel"}, set()),
    "ManifestReading": ({"NetworkAPI", "KubernetesAPI", "NetworkModel"}, {"FoundationEssentials", "Yams", "CYaml"}),
    "SiteFolder": ({"NetworkAPI", "KubernetesAPI", "NetworkModel", "CLinux"}, {"FoundationEssentials", "Glibc"}),
    "StatusSummaries": ({"NetworkAPI", "KubernetesAPI", "ProxyContract", "NetworkModel"}, set()),
    "HTTPTransport": ({"CLibcurl"}, SYSTEM),
    "KubernetesClient": ({"HTTPTransport", "KubernetesAPI", "NetworkModel"}, SYSTEM | {"Yams"}),
    "KubernetesRuntime": (
        {"KubernetesClient", "KubernetesAPI", "NetworkModel", "Telemetry"},
        SYSTEM | {"Logging", "DequeModule", "HeapModule"}),
    "Certificates": ({"TLS", "NetworkModel"}, SYSTEM),
    "TLS": ({"NetworkModel", "COpenSSL", "CLinux"}, SYSTEM),
    "Telemetry": ({"NetworkModel", "CLinux"}, SYSTEM | {"Logging"}),
    "SiteControl": (
        {"Wire", "Routing", "Balancing", "ProxyContract", "NetworkModel"},
        {"FoundationEssentials", "DequeModule", "HeapModule"}),
    "Proxy": (
        {"Streaming", "SiteControl", "Wire", "Routing", "Balancing", "ProxyContract", "NetworkModel", "TLS", "Telemetry",
         "CLinux"},
        SYSTEM | {"Logging", "DequeModule"}),
    "ProxyProcess": (
        {"Proxy", "SiteControl", "KubernetesRuntime", "KubernetesClient", "KubernetesAPI", "StatusSummaries", "ManifestReading",
         "SiteFolder", "NetworkAPI", "ProxyContract", "NetworkModel", "Certificates", "Telemetry", "CLinux"},
        SYSTEM | {"Logging", "Yams", "ArgumentParser"}),
    "Controller": (
        {"KubernetesRuntime", "KubernetesClient", "KubernetesAPI", "HTTPTransport", "StatusSummaries", "Injection", "NetworkAPI",
         "ProxyContract", "NetworkModel", "Certificates", "Telemetry"},
        SYSTEM | {"Logging", "ArgumentParser"}),
    "CommandLineTool": (
        {"KubernetesClient", "KubernetesAPI", "HTTPTransport", "Injection", "ManifestReading", "SiteFolder", "NetworkAPI",
         "ProxyContract", "NetworkModel", "Certificates"},
        SYSTEM | {"ArgumentParser", "Yams"}),
    "tieline": ({"CommandLineTool"}, SYSTEM | {"ArgumentParser"}),
    "tieline-controller": ({"Controller", "Telemetry", "NetworkModel"}, SYSTEM | {"ArgumentParser", "Logging"}),
    "tieline-proxy": ({"ProxyProcess"}, SYSTEM | {"ArgumentParser", "Logging"}),
}
# What the pure cores have none of: no async, actor, thread, clock or I/O.
IMPURE = re.compile(
    r"\basync\b|\bawait\b|\bactor\b|\bTask\s*[{.]|ContinuousClock|SuspendingClock|Date\(\)|Date\.now"
    r"|clock_gettime|FileManager|\bMutex\b|\bAtomic\b")
PURE_CORES = {
    "NetworkModel", "ProxyContract", "Routing", "Balancing", "Streaming", "Wire", "SiteControl", "KubernetesAPI", "NetworkAPI", "ManifestReading",
    "StatusSummaries", "Injection"}
IMPORT = re.compile(
    r"^\s*(?:@[\w()]+\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)")


def code_of(line: str) -> str:
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', line).split("//")[0]


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent / "Sources"
    errors = []
    swift_targets = {p.parent.name for p in root.glob("*/*.swift")} | {p.name for p in root.iterdir() if any(p.rglob("*.swift"))}
    for unknown in sorted(swift_targets - TABLE.keys()):
        errors.append(f"Sources/{unknown}: not in the table of hack/check-imports.py")
    for target, (modules, libraries) in TABLE.items():
        for path in sorted((root / target).rglob("*.swift")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                place = f"{path.relative_to(root.parent)}:{number}"
                found = IMPORT.match(line)
                if found and found[1] not in modules | libraries:
                    errors.append(f"{place}: {target} must not import {found[1]}")
                if target in PURE_CORES and IMPURE.search(code_of(line)):
                    errors.append(f"{place}: {target} is pure (no async, clock, thread or I/O): {line.strip()}")
    print("\n".join(errors) if errors else "imports follow the table")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

// swift-tools-version: 6.2
import PackageDescription

/// Settings of every target: Swift 6 mode, strict concurrency, warnings are errors.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

func module(
    _ name: String,
    path: String? = nil,
    _ dependencies: [Target.Dependency] = []
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: path,
        swiftSettings: house + optimized(name) + unchecked(name)
    )
}

func program(
    _ name: String,
    path: String? = nil,
    _ dependencies: [Target.Dependency]
) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: house + optimized(name))
}

/// Their tests try hundreds of thousands of schedules: that takes a seventh of the time when these are optimized in a debug build as well.
func optimized(_ name: String) -> [SwiftSetting] {
    ["Streaming", "StreamingTests", "Wire", "NetworkModel", "Routing", "RoutingTests"].contains(
        name
    )
        ? [.unsafeFlags(["-O"], .when(configuration: .debug))] : []
}

/// What moves bytes trusts in a release what every debug build checks while it runs, tests and sanitizers with it: that accesses do not overlap.
func unchecked(_ name: String) -> [SwiftSetting] {
    ["Proxy", "Streaming", "Wire", "Balancing", "TLS"].contains(name)
        ? [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))] : []
}

let arguments: Target.Dependency = .product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
// Two of its modules: the product `Collections` would be all of them, a tenth of what a build compiles.
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
    name: "tieline",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "tieline", targets: ["tieline"]),
        .executable(name: "tieline-controller", targets: ["tieline-controller"]),
        .executable(name: "tieline-proxy", targets: ["tieline-proxy"]),
        // For hack/Package.swift only; it has no public declaration.
        .library(
            name: "TielineDevelopment",
            targets: [
                "KubernetesRuntime", "KubernetesClient", "HTTPTransport", "KubernetesAPI",
                "Telemetry", "NetworkModel", "CLinux",
            ]
        ),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    // From the mains down; imports go downwards only (hack/check-imports.py).
    targets: [
        program("tieline", ["CommandLineTool", arguments]),
        program(
            "tieline-controller",
            ["Controller", "Telemetry", "NetworkModel", arguments, logging]
        ),
        program("tieline-proxy", ["ProxyProcess", arguments]),

        module(
            "CommandLineTool",
            [
                "KubernetesClient", "KubernetesAPI", "HTTPTransport", "Injection",
                "ManifestReading", "SiteFolder", "NetworkAPI", "ProxyContract", "NetworkModel",
                "Certificates", arguments, yaml,
            ]
        ),
        module(
            "Controller",
            [
                "KubernetesRuntime", "KubernetesClient", "KubernetesAPI", "StatusSummaries",
                "Injection", "NetworkAPI", "ProxyContract", "NetworkModel", "Certificates",
                "Telemetry", logging,
            ]
        ),
        module(
            "ProxyProcess",
            [
                "Proxy", "SiteControl", "KubernetesRuntime", "KubernetesClient", "KubernetesAPI",
                "StatusSummaries", "ManifestReading", "SiteFolder", "NetworkAPI", "ProxyContract",
                "NetworkModel", "Certificates", "Telemetry", "CLinux", logging,
                yaml, arguments,
            ]
        ),

        module(
            "KubernetesRuntime",
            [
                "KubernetesClient", "KubernetesAPI", "NetworkModel", "Telemetry", logging,
                deque, heap,
            ]
        ),
        module("KubernetesClient", ["HTTPTransport", "KubernetesAPI", "NetworkModel", yaml]),
        module("HTTPTransport", ["CLibcurl"]),
        module("Certificates", ["TLS", "NetworkModel"]),
        module(
            "Proxy",
            [
                "Streaming", "SiteControl", "Wire", "Routing", "Balancing", "ProxyContract",
                "NetworkModel",
                "TLS", "Telemetry", "CLinux", logging, deque,
            ]
        ),
        module("TLS", ["NetworkModel", "COpenSSL", "CLinux"]),
        module("Telemetry", ["NetworkModel", "CLinux", logging]),

        module("KubernetesAPI", ["NetworkModel"]),
        module(
            "StatusSummaries",
            ["NetworkAPI", "KubernetesAPI", "ProxyContract", "NetworkModel"]
        ),
        // Manifests of files; what the API server sends is JSON.
        module("ManifestReading", ["NetworkAPI", "KubernetesAPI", "NetworkModel", yaml]),
        // Files of plain sites, for their proxy and for the command line.
        module("SiteFolder", ["NetworkAPI", "KubernetesAPI", "NetworkModel", "CLinux"]),
        // Pods to Pods with a sidecar.
        module("Injection", ["NetworkAPI", "KubernetesAPI", "NetworkModel"]),
        module("NetworkAPI", ["KubernetesAPI", "ProxyContract", "NetworkModel"]),
        module(
            "SiteControl",
            ["Wire", "Routing", "Balancing", "ProxyContract", "NetworkModel", deque, heap]
        ),
        module("ProxyContract", ["NetworkModel"]),
        module("Streaming", ["Wire", "Balancing", "NetworkModel"]),
        module("Wire", ["Routing", "NetworkModel"]),
        module("Routing", ["NetworkModel", deque, heap]),
        module("Balancing", ["NetworkModel"]),
        module("NetworkModel"),

        .target(name: "CLibcurl", linkerSettings: [.linkedLibrary("curl")]),
        .target(
            name: "COpenSSL",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]
        ),
        .target(name: "CLinux"),

        tests("NetworkModelTests", ["NetworkModel", "TestSupport"]),
        // What the tests of several modules share.
        module("TestSupport", path: "Tests/TestSupport", ["ProxyContract", "NetworkModel"]),
        // Certificates for tests, right and wrong ones.
        .target(
            name: "CertificateFixtures",
            dependencies: ["TLS", "NetworkModel", "COpenSSL"],
            path: "Tests/CertificateFixtures",
            swiftSettings: house
        ),
        tests(
            "ProxyTransportTests",
            [
                "Proxy", "Wire", "TLS", "ProxyContract", "NetworkModel", "CertificateFixtures",
                "CLinux", "TestSupport",
            ]
        ),
        tests(
            "StreamTests",
            [
                "Proxy", "Streaming", "SiteControl", "Wire", "Balancing", "TLS",
                "ProxyContract", "NetworkModel", "Telemetry",
                "CertificateFixtures", "TestSupport",
            ]
        ),
        tests("TLSTests", ["TLS", "NetworkModel", "CertificateFixtures", "COpenSSL"]),
        tests(
            "ControllerTests",
            [
                "Controller", "KubernetesRuntime", "KubernetesClient", "KubernetesAPI",
                "HTTPTransport", "StatusSummaries", "Injection", "NetworkAPI", "ProxyContract",
                "NetworkModel", "Certificates", "Telemetry", "TestSupport", "NetworkTestSupport",
                logging,
            ]
        ),
        tests(
            "CommandLineToolTests",
            [
                "CommandLineTool", "ManifestReading", "KubernetesAPI", "NetworkAPI",
                "ProxyContract", "NetworkModel",
            ]
        ),
        module("NetworkTestSupport", path: "Tests/NetworkTestSupport", ["HTTPTransport"]),
        tests("HTTPTransportTests", ["HTTPTransport", "NetworkTestSupport", "COpenSSL"]),
        tests("KubernetesAPITests", ["KubernetesAPI", "NetworkModel", "TestSupport"]),
        tests(
            "KubernetesClientTests",
            ["KubernetesClient", "HTTPTransport", "KubernetesAPI", "NetworkTestSupport"]
        ),
        tests(
            "KubernetesRuntimeTests",
            [
                "KubernetesRuntime", "KubernetesClient", "HTTPTransport", "KubernetesAPI",
                "NetworkModel", "Telemetry", "NetworkTestSupport", "TestSupport", logging,
            ]
        ),
        tests("ProxyContractTests", ["ProxyContract", "NetworkModel", "TestSupport"]),
        tests("WireTests", ["Wire", "Routing", "NetworkModel", "TestSupport"]),
        tests("StreamingTests", ["Streaming", "Wire", "Balancing", "NetworkModel", "TestSupport"]),
        // What fuzzers throw bytes at (hack/fuzz.sh); the tests throw the kept ones again.
        module(
            "FuzzTargets",
            path: "Tests/FuzzTargets",
            [
                "SiteControl", "Streaming", "Wire", "Routing", "Balancing", "TLS", "ProxyContract",
                "NetworkModel", "ManifestReading", "CertificateFixtures", "TestSupport",
            ]
        ),
        tests("FuzzTests", ["FuzzTargets"]),
        tests("BalancingTests", ["Balancing", "NetworkModel", "TestSupport"]),
        tests("RoutingTests", ["Wire", "Routing", "NetworkModel", "TestSupport", heap]),
        tests(
            "SiteControlTests",
            [
                "SiteControl", "Wire", "Routing", "Balancing", "ProxyContract",
                "NetworkModel", "TestSupport",
            ]
        ),
        tests(
            "ProxyControlTests",
            [
                "Proxy", "SiteControl", "Wire", "Routing", "Balancing", "TLS", "Certificates",
                "ProxyContract", "NetworkModel", "Telemetry", "TestSupport",
            ]
        ),
        tests(
            "NetworkAPITests",
            [
                "NetworkAPI", "KubernetesAPI", "ProxyContract", "NetworkModel", "TestSupport",
                yaml,
            ]
        ),
        tests(
            "ManifestReadingTests",
            ["ManifestReading", "NetworkAPI", "KubernetesAPI", "ProxyContract", "NetworkModel"]
        ),
        tests("InjectionTests", ["Injection", "NetworkAPI", "KubernetesAPI", "NetworkModel"]),
        tests("CertificatesTests", ["Certificates", "TLS", "NetworkModel", "CertificateFixtures"]),
        tests("TelemetryTests", ["Telemetry", "NetworkModel", logging]),
        tests(
            "ProxyProcessTests",
            [
                "tieline-proxy", "ProxyProcess", "Proxy", "SiteControl", "Certificates",
                "KubernetesAPI",
                "KubernetesClient",
                "StatusSummaries", "ManifestReading", "SiteFolder", "NetworkAPI",
                "ProxyContract",
                "NetworkModel", "Telemetry", "TestSupport", logging, arguments,
            ]
        ),
    ]
)

// Only for hack/fuzz.sh: without libFuzzer it does not link.
if Context.environment["FUZZING"] != nil {
    package.targets += [
        .target(name: "FuzzDriver", path: "Tests/FuzzDriver"),
        program("Fuzz", path: "Tests/Fuzz", ["FuzzTargets", "FuzzDriver"]),
    ]
}

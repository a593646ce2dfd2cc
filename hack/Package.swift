// swift-tools-version: 6.2
// What develops and tests Tieline, in no product. hack/build.sh builds it beside the package above, into the same folder, so that what
// both need is compiled once.
import PackageDescription

/// The package above, as SwiftPM knows it: by the name of its folder.
let product = String(Context.packageDirectory.split(separator: "/").dropLast().last ?? "tieline")
    .lowercased()

/// The same name as the compiler is told it.
///
/// With it the tools see the package's own declarations (`package`), which nothing else should: they are as internal as its tests.
let scope: String = {
    let name = product.map { $0.isLetter || $0.isNumber ? $0 : "_" }
    return name.first?.isNumber == true ? "_" + String(name.dropFirst()) : String(name)
}()

/// The settings of the package above.
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
    .unsafeFlags(["-package-name", scope]),
]

let tieline: Target.Dependency = .product(name: "TielineDevelopment", package: product)
let arguments: Target.Dependency = .product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "tieline-hack",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .executableTarget(
            name: "devnode",
            dependencies: ["DevnodeCore", "CNamespaces", tieline, arguments, logging],
            path: "devnode",
            packageAccess: false,
            swiftSettings: house
        ),
        .target(name: "CNamespaces", path: "devnode-namespaces"),
        .target(
            name: "DevnodeCore",
            dependencies: [tieline],
            path: "devnode-core",
            packageAccess: false,
            swiftSettings: house
        ),
        .executableTarget(
            name: "traffic",
            dependencies: [tieline, arguments],
            path: "traffic",
            packageAccess: false,
            swiftSettings: house
        ),
        .testTarget(
            name: "DevnodeTests",
            dependencies: ["DevnodeCore", tieline],
            path: "devnode-tests",
            packageAccess: false,
            swiftSettings: house
        ),
    ]
)

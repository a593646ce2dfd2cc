package import KubernetesAPI

/// The seccomp profile that container engines apply by default, in the form in which they are shipped with it.
///
/// Its rules depend on the capabilities of a container and on the machine; a runtime is told those that apply.
package struct SeccompProfile: Sendable {
    /// How the profile calls the kind of machine that this is compiled for.
    private static let (machine, architecture) = {
        #if arch(arm64)
            ("arm64", "SCMP_ARCH_AARCH64")
        #else
            ("amd64", "SCMP_ARCH_X86_64")
        #endif
    }()

    private let document: JSONValue

    package init(_ document: JSONValue) { self.document = document }

    /// What the runtime specification calls `linux.seccomp`, for a container that may have these capabilities.
    package func filter(capabilities: [String]) -> JSONValue {
        let rules = (document["syscalls"]?.array ?? []).filter { applies($0, capabilities) }
        let families = (document["archMap"]?.array ?? []).filter {
            $0["architecture"]?.string == Self.architecture
        }
        let others = families.flatMap { $0["subArchitectures"]?.array ?? [] }
        var filter: [String: JSONValue] = [
            "defaultAction": document["defaultAction"] ?? "SCMP_ACT_ERRNO",
            "architectures": .array([.string(Self.architecture)] + others),
            "syscalls": .array(rules.map(rule)),
        ]
        filter["defaultErrnoRet"] = document["defaultErrnoRet"]
        return .object(filter)
    }

    private func applies(_ rule: JSONValue, _ capabilities: [String]) -> Bool {
        let (included, excluded) = (rule["includes"], rule["excludes"])
        if let machines = names(included, "arches"), !machines.contains(Self.machine) {
            return false
        }
        if let wanted = names(included, "caps"), !wanted.allSatisfy(capabilities.contains) {
            return false
        }
        if let refused = names(excluded, "caps"), refused.contains(where: capabilities.contains) {
            return false
        }
        return names(excluded, "arches")?.contains(Self.machine) != true
    }

    /// The members of a list of conditions; nil when it is not there or empty, and so says nothing.
    private func names(_ conditions: JSONValue?, _ key: String) -> [String]? {
        let names = (conditions?[key]?.array ?? []).compactMap(\.string)
        return names.isEmpty ? nil : names
    }

    private func rule(_ rule: JSONValue) -> JSONValue {
        var result: [String: JSONValue] = [:]
        for key in ["names", "action", "errnoRet"] { result[key] = rule[key] }
        if let arguments = rule["args"]?.array, !arguments.isEmpty {
            result["args"] = .array(arguments)
        }
        return .object(result)
    }
}

import FoundationEssentials
import Glibc
import KubernetesAPI
import NetworkModel

/// Asks a credential plugin when there is nothing from it that is still good. Copies of a client share one.
actor PluginCredentials {
    /// A credential that ends sooner than this is asked for anew: it must survive the request.
    private static let margin: Int64 = 5

    private let plugin: CredentialPlugin
    private let now: @Sendable () -> Int64
    private var current: PluginCredential?
    /// Whoever comes while the program runs waits for the same run.
    private var run: Task<Result<PluginCredential, APIError>, Never>?

    /// `now` gives the seconds since 1970.
    init(
        _ plugin: CredentialPlugin,
        now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) {
        self.plugin = plugin
        self.now = now
    }

    func get() async throws(APIError) -> PluginCredential {
        if let current, current.expiration.map({ $0.seconds - now() > Self.margin }) ?? true {
            return current
        }
        let running = run ?? Task { [plugin] in await Self.ask(plugin) }
        run = running
        let result = await running.value
        if run == running {
            run = nil
            current = try? result.get()
        }
        return try result.get()
    }

    /// The API server has refused `credential` (401): it is not used again.
    func refuse(_ credential: PluginCredential) {
        if current == credential { current = nil }
    }

    private static func ask(
        _ plugin: CredentialPlugin
    ) async -> Result<PluginCredential, APIError> {
        do throws(APIError) {
            let hasTerminal = isatty(STDIN_FILENO) == 1
            if plugin.interaction == .always, !hasTerminal {
                throw plugin.problem("has to ask something, and standard input is not a terminal")
            }
            let isInteractive = plugin.interaction != .never && hasTerminal
            var program = ChildProgram(path: plugin.command, arguments: plugin.arguments)
            program.environment = ProcessInfo.processInfo.environment
            program.environment.merge(plugin.environment) { _, new in new }
            program.environment["KUBERNETES_EXEC_INFO"] =
                try plugin.request(isInteractive: isInteractive)
            program.sharesTerminal = isInteractive
            program.timeLimit = isInteractive ? plugin.interactiveTimeLimit : plugin.timeLimit
            switch await program.run() {
            case .exited(0, let output): return .success(try plugin.credential(from: output))
            case .exited(let code, _): throw plugin.problem("failed with exit code \(code)")
            case .killed(let signal): throw plugin.problem("was ended by signal \(signal)")
            case .timedOut:
                throw plugin.problem("did not end within \(program.timeLimit) and was stopped")
            case .tooMuchOutput: throw plugin.problem("printed more than a credential")
            case .notStarted(ENOENT):
                let hint = plugin.installHint.map { "; \($0)" } ?? ""
                throw plugin.problem("is not installed\(hint)")
            case .notStarted(let code): throw plugin.problem("cannot be run: \(errorText(code))")
            }
        } catch {
            return .failure(error)
        }
    }
}

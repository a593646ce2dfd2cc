import CNamespaces
import Glibc

/// A network namespace without a name: it goes with the last process and descriptor that hold it.
final class NetworkNamespace: Sendable {
    let descriptor: Int32

    /// Where other processes of devnode's PID namespace find it.
    var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    static func make() async throws -> NetworkNamespace {
        // The thread changes its namespace, so it is one that ends right after.
        let descriptor = try await onThread {
            try SystemError.check(cns_new_network(), "make a network namespace")
        }
        return NetworkNamespace(descriptor: descriptor)
    }

    /// Moves the calling thread into the namespace.
    func enter() throws(SystemError) {
        try SystemError.check(cns_enter_network(descriptor), "enter a network namespace")
    }

    /// Runs a blocking closure inside; sockets that it makes stay inside for good.
    func perform<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await onThread {
            try self.enter()
            return try body()
        }
    }

    /// Sets variables under /proc/sys/net; one that the kernel does not have is not needed either.
    func set(_ variables: [(name: String, value: String)]) async throws {
        try await perform {
            for (name, value) in variables {
                try? Files.write(value, to: "/proc/sys/net/\(name)")
            }
        }
    }

    /// Starts a thread that stays inside.
    func startThread(_ body: @escaping @Sendable () -> Void) {
        devnode.startThread {
            do throws(SystemError) {
                try self.enter()
                body()
            } catch {
                preconditionFailure("\(error)")
            }
        }
    }
}

/// Runs `ip` and `nft`.
actor Tools {
    private let processes: ProcessTable
    private let directory: String
    private var number = 0

    init(processes: ProcessTable, directory: String) throws {
        self.processes = processes
        self.directory = directory
        try Files.makeDirectory(directory)
    }

    /// Runs `ip -batch` in a namespace.
    func ip(_ lines: [String], in network: NetworkNamespace) async throws {
        let text = lines.joined(separator: "\n") + "\n"
        try await run("ip", ["-batch"], input: text, in: network)
    }

    /// Runs `nft -f`: all of it or nothing.
    func nft(_ rules: String, in network: NetworkNamespace) async throws {
        try await run("nft", ["-f"], input: rules, in: network)
    }

    private func run(
        _ program: String,
        _ arguments: [String],
        input: String,
        in network: NetworkNamespace
    ) async throws {
        number += 1
        let file = "\(directory)/\(program)-\(number)"
        try Files.write(input, to: file)
        let output = try Files.appending(file + ".out")
        defer {
            close(output)
            unsafe unlink(file)
            unsafe unlink(file + ".out")
        }
        let inside = ["nsenter", "--net=\(network.path)", program]
        let code = try await processes.run(
            Command(words: inside + arguments + [file], output: output)
        )
        guard code == 0 else {
            let text = (try? Files.read(file + ".out")).map { String(decoding: $0, as: UTF8.self) }
            throw ToolError(program: program, code: code, output: text ?? "")
        }
    }
}

/// A tool that failed, with what it said.
struct ToolError: Error, CustomStringConvertible {
    let program: String
    let code: Int32
    let output: String

    var description: String { "\(program) ended with \(code): \(output)" }
}

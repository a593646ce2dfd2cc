import ArgumentParser

Traffic.main()

/// Servers that say who they are, and clients that report who answered: the two ends of every end-to-end test.
struct Traffic: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "traffic",
        abstract: "Test servers and clients for end-to-end tests.",
        discussion: """
            A server reads lines: `name` answers its name, `get N` sends N bytes, `put N` takes N bytes and answers their
            checksum, `echo` sends back everything that follows. A client prints one JSON object a line.
            """,
        subcommands: [Serve.self, Hold.self, Load.self, Flow.self, Transfer.self]
    )
}

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve until told to stop.")

    @Option(help: "HOST:PORT to listen on.") var listen = "0.0.0.0:8080"
    @Option(help: "What `name` answers.") var name: String
    @Option(help: "Seconds to go on serving after SIGTERM.") var linger = 0.0

    func run() throws {
        let poller = try Poller()
        let listener = try Socket.listen(on: try SocketAddress(listen))
        let server = Server(name: name, poller: poller, listener: listener)
        try server.run(linger: linger)
    }
}

struct Hold: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Open connections on command and keep them open.",
        discussion: """
            Reads commands from standard input: `open N` (one by one), `open N at R` (per second), `open N by P` (P at a time),
            `close N SEED` (a random N of those open), `close all`, `report`, `quit`. Every command answers one line with the
            connections now open by the server that holds them, how those that ended by themselves did, and when the last of them
            did (monotonic clock); `report` also while others are being opened. What is closed, also at the end, has seen the
            server's end before the answer, or has waited for it as long as for an answer.
            """
    )

    @Option(help: "HOST:PORT to connect to.") var to: String
    @Option(help: "Seconds until a connection without an answer has failed.") var timeout = 5.0
    @Flag(help: "Ask an HTTP server: the first line of the body is its name.") var http = false

    func run() throws {
        let poller = try Poller()
        try HoldingClient(
            poller: poller,
            target: try SocketAddress(to),
            language: http ? .http : .lines,
            timeout: timeout
        ).run()
    }
}

struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Open short connections at a steady rate: connect, ask for the name, close.",
        discussion: """
            Commands on standard input: `report` (what is open now, who answered, how connections ended), `signal PID NUMBER`
            (sends the signal and reports as of that moment), `stop` (opens no more).
            """
    )

    @Option(help: "HOST:PORT to connect to.") var to: String
    @Option(help: "New connections per second.") var rate = 200.0
    @Option(help: "How long to open new ones, in seconds.") var seconds = 15.0
    @Option(help: "Seconds until a connection without an answer has failed.") var timeout = 5.0
    @Flag(help: "Ask an HTTP server: the first line of the body is its name.") var http = false
    @Option(help: "Milliseconds to keep a connection open after its answer.") var hold = 0

    func run() throws {
        let poller = try Poller()
        try LoadClient(
            poller: poller,
            target: try SocketAddress(to),
            language: http ? .http : .lines,
            timeout: timeout,
            rate: rate,
            seconds: seconds,
            hold: Double(hold) / 1000
        ).run()
    }
}

struct Flow: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Keep data going to and fro on a number of connections; report those that broke or stalled: no byte for a second."
    )

    @Option(help: "HOST:PORT to connect to.") var to: String
    @Option(help: "How many connections.") var count = 100
    @Option(help: "How long, in seconds; standard input closing ends it earlier.") var seconds =
        60.0
    @Option(help: "Bytes of one message.") var size = 1024
    @Option(help: "Milliseconds between the echo of a message and the next one.") var pause = 10

    func run() throws {
        let poller = try Poller()
        try FlowClient(
            poller: poller,
            target: try SocketAddress(to),
            count: count,
            seconds: seconds,
            size: size,
            pause: Double(pause) / 1000
        ).run()
    }
}

struct Transfer: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Move a number of bytes one way, check every one, end with a half-close."
    )

    enum Direction: String, ExpressibleByArgument, CaseIterable { case get, put }

    @Option(help: "HOST:PORT to connect to.") var to: String
    @Option(help: "How many bytes.") var bytes: UInt64
    @Option(help: "get: from the server; put: to the server.") var direction: Direction

    func run() throws {
        try TransferClient(target: try SocketAddress(to), bytes: bytes, direction: direction).run()
    }
}

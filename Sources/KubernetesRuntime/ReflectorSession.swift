import KubernetesAPI
import KubernetesClient
import Logging
import NetworkModel

/// The state of a reflector between two requests.
struct ReflectorSession<Object: KubernetesObject> {
    /// How a request ended, and so what comes next.
    enum Outcome {
        /// A list was told, or a watch did its time: go on at once.
        case fine
        /// The version is too old (or unknown to the server): begin anew.
        case expired
        /// Try the same again, later.
        case failed(String, ReadingTrouble, retryAfter: Duration?)
        /// Nobody took the connection.
        case away(String)
        /// What came made no sense: begin anew, later.
        case corrupt(String)
    }

    let client: KubernetesClient
    let scope: Scope
    let settings: ReflectorSettings
    let logger: Logger
    let health: @Sendable (ReflectorHealth) -> Void
    let sink: @Sendable (ReflectorEvent<Object>) -> Void

    /// The version up to which everything was told; nil: the whole state is to be told (again).
    var position: String?
    /// A new start must not show a state older than this; nil: ask for the newest.
    var floor: String?
    var usesWatchList: Bool
    var backoff: Backoff
    var absence: Backoff
    /// The server may have lost what we know, as after a restored backup: ask before watching on.
    var isDoubtful = false
    private var lastFailure: String?
    let time: Timeline
    /// Times that the server found a version too old since the last calm watch.
    var expiries = 0
    /// Watches in a row that ended at once.
    var shortWatches = 0
    /// Initial states in a row that broke off.
    var brokenStarts = 0

    init(
        client: KubernetesClient,
        scope: Scope,
        settings: ReflectorSettings,
        logger: Logger,
        health: @escaping @Sendable (ReflectorHealth) -> Void = { _ in },
        sink: @escaping @Sendable (ReflectorEvent<Object>) -> Void
    ) {
        self.client = client
        self.scope = scope
        self.settings = settings
        self.logger = logger
        self.health = health
        self.sink = sink
        usesWatchList = settings.usesWatchList
        backoff = settings.backoff
        absence = settings.absence
        time = Timeline(settings.clock)
    }

    mutating func run() async {
        while !Task.isCancelled {
            health(.asking)
            let outcome =
                switch position {
                case let position? where isDoubtful: await confirm(position)
                case _?: await watch()
                case nil where usesWatchList: await watchFromStart()
                case nil: await list()
                }
            guard !Task.isCancelled else { return }
            await handle(outcome)
        }
    }

    private mutating func handle(_ outcome: Outcome) async {
        switch outcome {
        case .fine:
            if lastFailure != nil { logger.notice("the API server is heard again") }
            lastFailure = nil
            absence.reset()
        case .expired:
            logger.debug("too old a version, listing again", metadata: ["at": "\(position ?? "-")"])
            expiries += 1
            // First any state not older than ours, which the server's cache can give; then the newest.
            floor = expiries == 1 ? position : nil
            position = nil
            if expiries > 2 {
                let reason = "the API server finds every version too old"
                await pause(reason, .failed(410), backoff.next())
            }
        case .failed(let reason, let trouble, let retryAfter):
            await pause(reason, trouble, max(backoff.next(), retryAfter ?? .zero))
        case .away(let reason):
            await pause(reason, .away, absence.next())
        case .corrupt(let reason):
            position = nil
            floor = nil
            await pause(reason, .undecodable, backoff.next())
        }
    }

    private mutating func pause(
        _ reason: String,
        _ trouble: ReadingTrouble,
        _ wait: Duration
    ) async {
        health(.failed(trouble))
        // One line for a trouble, not one for each attempt; numbers in it (times, ports) may differ.
        let trouble = reason.filter { !$0.isNumber }
        let level: Logger.Level = lastFailure == trouble ? .debug : .warning
        logger.log(level: level, "\(reason)", metadata: ["retryIn": "\(wait)"])
        lastFailure = trouble
        isDoubtful = true
        try? await time.sleep(for: wait)
    }
}

// Lists.
extension ReflectorSession {
    private mutating func list() async -> Outcome {
        var options = ListOptions(limit: settings.pageSize, resourceVersion: floor)
        // Pages of a state "not older than" are cut from etcd, not from the cache: ask for it whole.
        if floor != nil { options.limit = nil }
        var objects: [Object] = []
        var undecodable: [Undecodable] = []
        while true {
            do {
                let page = try await client.list(Object.self, in: scope, options: options)
                objects += page.items
                undecodable += page.undecodable
                if let token = page.continueToken {
                    options.continueToken = token
                    continue
                }
                return begin(objects, undecodable, at: page.resourceVersion)
            } catch .status(let status) where status.isExpired && options.continueToken != nil {
                // The list took longer than its version lived: all in one piece, then.
                objects = []
                undecodable = []
                options = ListOptions(resourceVersion: floor)
            } catch {
                return outcome(of: error)
            }
        }
    }

    /// Asks whether the server has reached `position`; a watch from its future would just be silent.
    private mutating func confirm(_ position: String) async -> Outcome {
        let options = ListOptions(limit: 1, resourceVersion: position)
        do {
            _ = try await client.list(Object.self, in: scope, options: options)
            isDoubtful = false
            return .fine
        } catch {
            return outcome(of: error)
        }
    }

    mutating func begin(
        _ objects: [Object],
        _ undecodable: [Undecodable],
        at version: String?
    ) -> Outcome {
        for failure in undecodable { logger.error("\(failure)") }
        sink(.replaced(objects, undecodable: undecodable, resourceVersion: version))
        floor = nil
        isDoubtful = false
        guard let version else { return .corrupt("a list without resourceVersion") }
        position = version
        return .fine
    }

    func outcome(of error: APIError) -> Outcome {
        switch error {
        case .status(let status) where status.isExpired || status.isTooLargeResourceVersion:
            .expired
        case .status(let status):
            .failed(
                "\(Object.resource.plural): \(status)",
                ReadingTrouble(error),
                retryAfter: status.details?.retryAfterSeconds.map { .seconds($0) }
            )
        case .decoding(let problem): .corrupt("\(Object.resource.plural): \(problem)")
        case .transport where error.isNotConnected: .away("\(error)")
        case .transport, .request, .fenced:
            .failed("\(error)", ReadingTrouble(error), retryAfter: nil)
        }
    }
}

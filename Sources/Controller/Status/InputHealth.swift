import KubernetesAPI
import KubernetesRuntime
import NetworkModel

/// Something that the controller reads.
enum Input: Hashable, Sendable {
    /// A kind, followed in the whole cluster; as rights name it: `deployments.apps`.
    case kind(String)
    /// A Secret, followed by its name.
    case secret(ObjectKey)
    /// What a gateway tells of itself; the key is its pod's.
    case gateway(ObjectKey)

    /// The namespace whose Site it concerns; nil: it concerns all Sites.
    var namespace: String? {
        switch self {
        case .kind: nil
        case .secret(let key), .gateway(let key): key.namespace ?? ""
        }
    }
}

/// Knows since when what is read cannot be read, and why; and when that is worth telling.
///
/// Holds only what is not as it should be. Most troubles pass within moments: what lasts is told, at its beginning and at its
/// end, and nothing in between. While nobody hears anything of the API server, statuses are left alone: they could not be written,
/// and when it is back each kind would be told, and taken back, in all of them.
struct InputHealth {
    /// What has lasted longer is told.
    ///
    /// A trouble that is known is told earlier than a mere wait for an answer.
    static let patience: Duration = .seconds(5)
    static let patienceWithoutAnswer: Duration = .seconds(15)
    /// As long as what a gateway told is held for true.
    static let patienceWithGateways: Duration = .seconds(20)
    /// What is followed again for so long is readable: watches may be opened, and end at once.
    static let steadiness: Duration = .seconds(2)
    /// How often a trouble that becomes another one is told anew.
    static let calm: Duration = .seconds(60)
    /// How often all Sites are looked at, at most.
    static let gap: Duration = .seconds(10)
    /// By then everything was asked again after the API server had been away.
    static let recovery: Duration = .seconds(40)

    /// Something that cannot be read.
    struct Trouble: Equatable, Sendable {
        let since: Instant
        let time: Timestamp
        /// Nil while an answer is waited for.
        var reason: ReadingTrouble?
    }

    /// What there is to tell.
    struct News: Equatable {
        var begun: [Input] = []
        var ended: [Ended] = []
        /// Whose Sites have another status.
        var concerned = Concern.none
        /// When to ask for news again, if nothing is noted before; nil: not before.
        var next: Instant?
    }

    struct Ended: Equatable {
        var input: Input
        var lasted: Duration
    }

    enum Concern: Equatable, Sendable {
        case none
        case namespaces(Set<String>)
        case all
    }

    fileprivate struct Entry {
        var trouble: Trouble
        /// Since when it is followed again.
        var goodSince: Instant?
        /// What is told of it, and since when; nil while nothing is.
        var told: (trouble: Trouble, at: Instant)?
        /// Whether it is in statuses.
        var isShown = false
    }

    private var entries: [Input: Entry] = [:]
    private var kinds: Set<Input> = []
    /// When nothing was heard of the API server last.
    private var lastAway: Instant?
    /// Sites of all namespaces have yet to be looked at.
    private var owesAll = false
    private var lastAll: Instant?

    /// Takes what is heard of an input; false when that changes nothing.
    mutating func note(
        _ input: Input,
        _ health: ReflectorHealth,
        at now: Instant,
        _ time: Timestamp
    ) -> Bool {
        if case .kind = input { kinds.insert(input) }
        guard health != .following || entries[input] != nil else { return false }
        if isAway { lastAway = now }
        var entry =
            entries[input] ?? Entry(trouble: Trouble(since: now, time: time, reason: nil))
        switch health {
        case .following:
            let isSure = entry.trouble.reason == nil || input.steadiness == .zero
            guard entry.told != nil || !isSure else {
                entries[input] = nil
                return true
            }
            entry.goodSince = entry.goodSince ?? now
        case .asking: entry.goodSince = nil
        case .failed(let reason):
            entry.goodSince = nil
            entry.trouble.reason = reason
        }
        entries[input] = entry
        if isAway { lastAway = now }
        return true
    }

    /// It is not read any more.
    mutating func forget(_ input: Input) { entries[input] = nil }

    mutating func forgetSecrets(of namespace: String) {
        entries = entries.filter { entry in
            guard case .secret(let key) = entry.key else { return true }
            return key.namespace != namespace
        }
    }

    /// What is told at present, with the reasons.
    var told: [Input: Trouble] { entries.compactMapValues(\.told?.trouble) }

    /// What the Site of a namespace is told.
    func shown(in namespace: String) -> [Input: Trouble] {
        entries.filter {
            $0.value.isShown && ($0.key.namespace == nil || $0.key.namespace == namespace)
        }.compactMapValues(\.told?.trouble)
    }

    /// Why an input cannot be read just now, whether that is worth telling or not.
    func reason(_ input: Input) -> ReadingTrouble? { entries[input]?.trouble.reason }

    /// What has become worth telling.
    mutating func settle(at now: Instant) -> News {
        if isAway { lastAway = now }
        var news = News()
        var concerned: Set<String> = []
        for (input, var entry) in entries {
            let before = entry.isShown ? entry.told?.trouble : nil
            if let good = entry.goodSince, now - good >= input.steadiness {
                entries[input] = nil
                if let told = entry.told {
                    news.ended.append(Ended(input: input, lasted: now - told.trouble.since))
                }
            } else {
                if tell(&entry, of: input, at: now) { news.begun.append(input) }
                entries[input] = entry
            }
            let after = entries[input].flatMap { $0.isShown ? $0.told?.trouble : nil }
            guard before != after else { continue }
            if let namespace = input.namespace {
                concerned.insert(namespace)
            } else {
                owesAll = true
            }
        }
        news.concerned = concerned.isEmpty ? .none : .namespaces(concerned)
        if owesAll, lastAll.map({ now - $0 >= Self.gap }) ?? true {
            (owesAll, lastAll) = (false, now)
            news.concerned = .all
        }
        news.next = next(after: now)
        return news
    }

    /// Brings what is told of an entry up to date; true when that begins.
    private func tell(_ entry: inout Entry, of input: Input, at now: Instant) -> Bool {
        let wasTold = entry.told != nil
        if let told = entry.told {
            if told.trouble.reason != entry.trouble.reason, now - told.at >= Self.calm {
                entry.told = (entry.trouble, now)
            }
        } else if entry.goodSince == nil, now >= entry.due(input) {
            entry.told = (entry.trouble, now)
        }
        entry.isShown = entry.told.map { mayShow($0.trouble, of: input, at: now) } ?? false
        return !wasTold && entry.told != nil
    }

    private func mayShow(_ trouble: Trouble, of input: Input, at now: Instant) -> Bool {
        if case .gateway = input { return true }
        guard trouble.reason?.isSilence ?? true, let lastAway else { return true }
        return now - lastAway >= Self.recovery
    }

    /// Whether nothing is heard of the API server.
    private var isAway: Bool {
        !kinds.isEmpty
            && kinds.allSatisfy { kind in
                guard let entry = entries[kind], entry.goodSince == nil else { return false }
                return entry.trouble.reason?.isSilence == true
            }
    }

    private func next(after now: Instant) -> Instant? {
        var times: [Instant] = []
        for (input, entry) in entries {
            if let good = entry.goodSince {
                times.append(good + input.steadiness)
            } else if let told = entry.told {
                if told.trouble.reason != entry.trouble.reason { times.append(told.at + Self.calm) }
                if !entry.isShown, let lastAway { times.append(lastAway + Self.recovery) }
            } else {
                times.append(entry.due(input))
            }
        }
        if owesAll, let lastAll { times.append(lastAll + Self.gap) }
        return times.min()
    }
}

extension Input {
    fileprivate var steadiness: Duration {
        if case .gateway = self { return .zero }
        return InputHealth.steadiness
    }
}

extension InputHealth.Entry {
    /// When this is worth telling, if it lasts.
    fileprivate func due(_ input: Input) -> Instant {
        let patience: Duration =
            switch input {
            case .gateway: InputHealth.patienceWithGateways
            case .kind, .secret:
                trouble.reason == nil
                    ? InputHealth.patienceWithoutAnswer : InputHealth.patience
            }
        return trouble.since + patience
    }
}

/// Opens connections on command, keeps them open and knows who holds each.
final class HoldingClient {
    private let poller: Poller
    private let target: SocketAddress
    private let language: Language
    private let timeout: Double
    private var questions: [Int32: Question] = [:]
    /// Held connections in the order in which they were answered.
    private var held: [Int32] = []
    private var endings: [String: Int] = [:]
    /// When the last of those ended.
    private var lastEnd = 0.0
    private var finishing: Set<Int32> = []
    private let commands = CommandLines()

    init(poller: Poller, target: SocketAddress, language: Language, timeout: Double) {
        self.poller = poller
        self.target = target
        self.language = language
        self.timeout = timeout
    }

    func run() throws {
        poller.add(0, .read)
        while true {
            turn(seconds: nil)
            while let line = commands.next() {
                if line == "quit" { return finish(held) }
                try obey(line.split(separator: " ").map(String.init))
                report()
            }
            if commands.ended { return finish(held) }
        }
    }

    private func obey(_ words: [String]) throws {
        switch words.first {
        case "open":
            let count = words.count > 1 ? Int(words[1]) ?? 0 : 0
            let amount = words.count > 3 ? Double(words[3]) ?? 1 : 1
            if words.count > 3, words[2] == "at" {
                try open(count, perSecond: amount)
            } else {
                try open(count, parallel: words.count > 3 ? Int(amount) : 1)
            }
        case "close":
            if words.count > 2, let count = Int(words[1]), let seed = UInt64(words[2]) {
                finish(some(count, seed: seed))
            } else {
                finish(held)
            }
        default: break
        }
    }

    private func open(_ count: Int, parallel: Int) throws {
        var started = 0
        while started < count || outstanding > 0 {
            while started < count, outstanding < parallel {
                try start()
                started += 1
            }
            turn(seconds: 0.1)
            reportIfAsked()
        }
    }

    private func open(_ count: Int, perSecond rate: Double) throws {
        let begin = now()
        var started = 0
        while started < count || outstanding > 0 {
            while started < count, now() - begin >= Double(started) / rate {
                try start()
                started += 1
            }
            turn(seconds: started < count ? max(0, begin + Double(started) / rate - now()) : 0.1)
            reportIfAsked()
        }
    }

    private var outstanding = 0

    private func start() throws {
        let question = try Question(target: target, language: language)
        questions[question.socket.descriptor] = question
        poller.add(question.socket.descriptor, question.interest)
        outstanding += 1
    }

    private func turn(seconds: Double?) {
        for descriptor in poller.wait(seconds: seconds) {
            if descriptor == 0 {
                commands.read()
            } else if let question = questions[descriptor] {
                advance(question)
            }
        }
        guard outstanding > 0 else { return }
        for question in questions.values where now() - question.start > timeout {
            switch question.state {
            case .connecting, .waiting:
                question.expire()
                ended(question, wasOutstanding: true)
            case .answered, .finishing, .ended: break
            }
        }
    }

    private func advance(_ question: Question) {
        let before = question.state
        question.turn()
        guard question.state != before else { return }
        switch question.state {
        case .connecting, .finishing: break
        case .waiting: poller.change(question.socket.descriptor, .read)
        case .answered:
            outstanding -= 1
            held.append(question.socket.descriptor)
        case .ended:
            if before == .finishing {
                drop(question.socket.descriptor)
            } else if case .answered = before {
                ended(question, wasOutstanding: false)
            } else {
                ended(question, wasOutstanding: true)
            }
        }
    }

    private func ended(_ question: Question, wasOutstanding: Bool) {
        guard case .ended(let ending) = question.state else { return }
        if wasOutstanding { outstanding -= 1 }
        endings[ending.rawValue, default: 0] += 1
        lastEnd = now()
        held.removeAll { $0 == question.socket.descriptor }
        drop(question.socket.descriptor)
    }

    private func drop(_ descriptor: Int32) {
        guard let question = questions.removeValue(forKey: descriptor) else { return }
        finishing.remove(descriptor)
        poller.remove(descriptor)
        question.socket.close()
    }

    private func some(_ count: Int, seed: UInt64) -> [Int32] {
        var random = SplitMix(state: seed)
        return Array(held.shuffled(using: &random).prefix(count))
    }

    /// Ends these in order and waits for the servers' FINs: no proxy between counts them after that.
    private func finish(_ descriptors: [Int32]) {
        finishing = Set(descriptors)
        held.removeAll { finishing.contains($0) }
        for descriptor in descriptors { questions[descriptor]?.finish() }
        let limit = now() + timeout
        while !finishing.isEmpty, now() < limit { turn(seconds: 0.1) }
        for descriptor in finishing { drop(descriptor) }
    }

    /// `report` is answered at once, also while connections are being opened.
    private func reportIfAsked() {
        while commands.next("report") != nil { report() }
    }

    private func report() {
        var open: [String: Int] = [:]
        for descriptor in held {
            if case .answered(let name)? = questions[descriptor]?.state {
                open[name, default: 0] += 1
            }
        }
        emit("{\"open\":\(json(open)),\"ended\":\(json(endings)),\"lastEnd\":\(lastEnd)}")
    }
}

/// SplitMix64: a seeded generator, so that a run can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

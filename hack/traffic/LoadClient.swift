/// Opens short connections at a steady rate and counts how each went.
final class LoadClient {
    private let poller: Poller
    private let target: SocketAddress
    private let language: Language
    private let timeout: Double
    private let rate: Double
    private let seconds: Double
    private let hold: Double
    private var questions: [Int32: Question] = [:]
    private var servers: [String: Int] = [:]
    private var endings: [String: Int] = [:]
    private var delayed = 0
    private var slowest = 0.0

    init(
        poller: Poller,
        target: SocketAddress,
        language: Language,
        timeout: Double,
        rate: Double,
        seconds: Double,
        hold: Double
    ) {
        self.poller = poller
        self.target = target
        self.language = language
        self.timeout = timeout
        self.rate = rate
        self.seconds = seconds
        self.hold = hold
    }

    func run() throws {
        let begin = now()
        let total = Int(rate * seconds)
        var started = 0
        while started < total || !questions.isEmpty {
            while started < total, now() - begin >= Double(started) / rate {
                let question = try Question(target: target, language: language)
                questions[question.socket.descriptor] = question
                poller.add(question.socket.descriptor, question.interest)
                started += 1
            }
            let pause = started < total ? max(0, begin + Double(started) / rate - now()) : 0.05
            for descriptor in poller.wait(seconds: min(pause, 0.05)) {
                if let question = questions[descriptor] { advance(question) }
            }
            settle()
        }
        emit(
            "{\"total\":\(total),\"servers\":\(json(servers)),\"endings\":\(json(endings)),"
                + "\"delayedOverSecond\":\(delayed),\"slowestMilliseconds\":\(Int(slowest * 1000))}"
        )
    }

    private func advance(_ question: Question) {
        let before = question.state
        question.turn()
        if before == .connecting, question.state == .waiting {
            poller.change(question.socket.descriptor, .read)
        }
        if before != question.state, case .answered(let name) = question.state {
            servers[name, default: 0] += 1
            let took = question.answeredAt - question.start
            slowest = max(slowest, took)
            if took > 1 { delayed += 1 }
        }
    }

    /// Ends what has its answer, has broken or has waited too long.
    private func settle() {
        let time = now()
        for (descriptor, question) in questions {
            switch question.state {
            case .answered:
                if time - question.answeredAt >= hold { end(descriptor, .done) }
            case .ended(let ending):
                end(descriptor, ending)
            case .connecting, .waiting:
                if time - question.start > timeout { end(descriptor, .timeout) }
            }
        }
    }

    private func end(_ descriptor: Int32, _ ending: Ending) {
        endings[ending.rawValue, default: 0] += 1
        poller.remove(descriptor)
        questions.removeValue(forKey: descriptor)?.socket.close()
    }
}

import Glibc

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
    private let commands = CommandLines()
    private var begin = 0.0
    private var started = 0
    /// How many to open in all; `stop` ends it earlier.
    private var total = 0

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
        begin = now()
        total = Int(rate * seconds)
        poller.add(0, .read)
        while started < total || !questions.isEmpty {
            while started < total, now() - begin >= Double(started) / rate {
                let question = try Question(target: target, language: language)
                questions[question.socket.descriptor] = question
                poller.add(question.socket.descriptor, question.interest)
                started += 1
            }
            let pause = started < total ? max(0, begin + Double(started) / rate - now()) : 0.05
            for descriptor in poller.wait(seconds: min(pause, 0.05)) {
                if descriptor == 0 {
                    obey()
                } else if let question = questions[descriptor] {
                    advance(question)
                }
            }
            settle()
        }
        emit(
            "{\(counts),\"delayedOverSecond\":\(delayed),\"slowestMilliseconds\":\(Int(slowest * 1000))}"
        )
    }

    private func obey() {
        commands.read()
        if commands.ended { poller.remove(0) }
        while let line = commands.next() {
            let words = line.split(separator: " ")
            switch words.first {
            case "stop": total = started
            case "signal":
                // Together with the count: what is open now is what the signal can hit.
                if words.count > 2, let process = Int32(words[1]), let number = Int32(words[2]) {
                    kill(process, number)
                    awaitEffect(of: number, on: process)
                }
                report()
            default: report()
            }
        }
    }

    private var counts: String {
        "\"total\":\(started),\"servers\":\(json(servers)),\"endings\":\(json(endings))"
    }

    private func report() {
        emit("{\"seconds\":\(now() - begin),\"open\":\(questions.count),\(counts)}")
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
                if time - question.answeredAt >= hold { question.finish() }
            case .finishing:
                if time - question.finishedAt > timeout { end(descriptor, .timeout) }
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

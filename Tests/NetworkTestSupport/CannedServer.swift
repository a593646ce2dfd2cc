import Foundation
import Synchronization

/// An HTTP/1.1 server that answers each request with bytes of the test's choice.
package final class CannedServer: Sendable {
    package typealias Respond = @Sendable (_ request: String, _ client: TestSocket) -> Void

    private let listener: TestSocket
    private let requestsSeen = Mutex<[String]>([])
    package let port: UInt16

    package init(_ respond: @escaping Respond) throws {
        let listener = try TestSocket.listening()
        self.listener = listener
        port = listener.port
        Thread.detachNewThread { [self] in
            while let client = listener.accept() {
                Thread.detachNewThread { [self] in serve(client, respond) }
            }
        }
    }

    package var url: String { "http://127.0.0.1:\(port)" }
    package var requests: [String] { requestsSeen.withLock { $0 } }

    package func stop() { listener.end() }

    private func serve(_ client: TestSocket, _ respond: Respond) {
        var pending = Data()
        while let bytes = client.read() {
            pending.append(bytes)
            while let end = pending.range(of: Data("\r\n\r\n".utf8)) {
                let head = String(decoding: pending[..<end.lowerBound], as: UTF8.self)
                let length = bodyLength(head)
                while pending.distance(from: end.upperBound, to: pending.endIndex) < length {
                    guard let more = client.read() else { return }
                    pending.append(more)
                }
                let bodyEnd = pending.index(end.upperBound, offsetBy: length)
                let body = String(decoding: pending[end.upperBound..<bodyEnd], as: UTF8.self)
                let request = head + "\r\n\r\n" + body
                requestsSeen.withLock { $0.append(request) }
                respond(request, client)
                pending = Data(pending[bodyEnd...])
            }
        }
    }

    private func bodyLength(_ head: String) -> Int {
        for line in head.split(separator: "\r\n")
        where line.lowercased().hasPrefix("content-length:") {
            return Int(line.dropFirst(15).trimmingCharacters(in: .whitespaces)) ?? 0
        }
        return 0
    }
}

/// A whole answer with its length.
package func answer(_ status: String, _ body: String, headers: String = "") -> String {
    "HTTP/1.1 \(status)\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

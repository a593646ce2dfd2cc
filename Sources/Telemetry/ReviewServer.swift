/// An HTTPS endpoint that answers POSTs of one path; a listener like that of `AdminServer`, with its bounds.
///
/// Whoever reaches the port can make it hold 128 connections for 5 s and 16 MiB of requests in all, and no more.
package final class ReviewServer: Sendable {
    /// Must not block.
    package typealias Answer = @Sendable (_ body: [UInt8]) -> AdminResponse

    private let listener: AdminListener

    /// Binds the address; answers are made on the endpoint's own thread.
    ///
    /// `channel` makes the TLS of a connection; nil: there is no certificate yet, and the connection is closed.
    package init(
        host: String,
        port: UInt16,
        path: String,
        bodyLimit: Int,
        channel: @escaping @Sendable () -> SecureChannel?,
        answer: @escaping Answer
    ) throws(AdminServerError) {
        listener = try AdminListener(
            host: host,
            port: port,
            manner: AdminTable.Manner(bodyLimit: bodyLimit, channel: channel),
            quick: { request in
                guard request.path == path, let body = request.body else {
                    return .text("only POST of \(path) is answered here\n", status: 404)
                }
                return answer(body)
            },
            handler: { _ in .text("not reached\n", status: 500) }
        )
    }

    package var port: UInt16 { listener.port }

    /// Serves until the task is canceled.
    package func run() async {
        await withTaskCancellationHandler {
            await listener.run()
        } onCancel: {
            listener.stop()
        }
    }
}

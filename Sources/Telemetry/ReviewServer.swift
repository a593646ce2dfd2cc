import Dispatch

/// An HTTPS endpoint that answers POSTs of one path; a listener like that of `AdminServer`, with its bounds.
///
/// Whoever reaches the port can make it hold 128 connections for 5 s and 16 MiB of requests in all, and no more. Answers are worked out on two
/// threads, one for large requests: whoever sends those waits for their like, and nobody else does.
package final class ReviewServer: Sendable {
    package typealias Answer = @Sendable (_ body: [UInt8]) -> AdminResponse

    private let listener: AdminListener

    /// A Pod with all that is usual has a few KiB.
    private static let smallMax = 64 * 1024
    /// The API server asks for ten seconds at the most.
    private static let workingTime: Duration = .seconds(10)

    /// Binds the address.
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
        let (small, large) = (Desk("small"), Desk("large"))
        listener = try AdminListener(
            host: host,
            port: port,
            executor: { ($0.body?.count ?? 0) <= Self.smallMax ? small : large },
            manner: AdminTable.Manner(
                bodyLimit: bodyLimit,
                channel: channel,
                workingTime: Self.workingTime
            ),
            quick: { request in
                guard request.path != path || request.body == nil else { return nil }
                return .text("only POST of \(path) is answered here\n", status: 404)
            },
            handler: { answer($0.body ?? []) }
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

/// A thread on which reviews are answered, one after the other.
private final class Desk: TaskExecutor {
    private let queue: DispatchQueue

    init(_ name: String) { queue = DispatchQueue(label: "tieline.reviews.\(name)") }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

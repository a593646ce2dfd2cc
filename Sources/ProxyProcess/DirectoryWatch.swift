import CLinux
import Dispatch
import Glibc

/// Tells when something in directories changes.
///
/// By inotify, which sees the `..data` link of a mounted Secret being replaced as well as an editor's rename. Because a
/// directory may be replaced as a whole, or live on a file system that tells nothing, it also ticks every ten seconds:
/// who listens reads again and compares.
struct DirectoryWatch: Sendable {
    static let fallback = Duration.seconds(10)

    let directories: [String]
    /// How long nothing must happen before a change is told: several files are written one after another.
    var settle = Duration.milliseconds(50)

    /// Calls `body` once at the start and for every change, one call after another, until the task is canceled.
    ///
    /// The first call comes after the watch is set up: what changed since the caller looked last is not missed. With a
    /// duration as the answer of `body` it is called again after that, if nothing happens before.
    func forEachChange(_ body: () async -> Duration?) async {
        let (ticks, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        let source = descriptor >= 0 ? start(descriptor, continuation) : nil
        continuation.yield()
        let clock = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.fallback)
                for directory in directories { add(directory, to: descriptor) }
                continuation.yield()
            }
        }
        await withTaskCancellationHandler {
            for await _ in ticks {
                try? await Task.sleep(for: settle)
                if Task.isCancelled { break }
                guard let again = await body() else { continue }
                Task {
                    try? await Task.sleep(for: again)
                    continuation.yield()
                }
            }
        } onCancel: {
            continuation.finish()
        }
        clock.cancel()
        source?.cancel()
    }

    private func start(
        _ descriptor: Int32,
        _ continuation: AsyncStream<Void>.Continuation
    ) -> any DispatchSourceRead {
        for directory in directories { add(directory, to: descriptor) }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor)
        source.setEventHandler {
            drain(descriptor)
            continuation.yield()
        }
        source.setCancelHandler { close(descriptor) }
        source.activate()
        return source
    }

    /// Adding a directory twice changes nothing; one that was replaced is found again.
    private func add(_ directory: String, to descriptor: Int32) {
        guard descriptor >= 0 else { return }
        let events =
            IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB
        _ = unsafe inotify_add_watch(descriptor, directory, UInt32(events))
    }
}

/// Which events they were does not matter.
private func drain(_ descriptor: Int32) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while unsafe read(descriptor, &buffer, buffer.count) > 0 {}
}

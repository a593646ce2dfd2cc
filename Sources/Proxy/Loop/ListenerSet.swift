import Glibc

/// The listening sockets of one kind on one loop: opens exactly those that are wanted.
///
/// A port that somebody else holds is asked for again every 2 s, until it is free or not wanted any more. Confined to its
/// loop.
final class ListenerSet<Place: Hashable> {
    private let loop: EventLoop
    private let open: (Place) throws(SystemError) -> Listener
    private let tried: (Place, String?) -> Void
    private var listeners: [Place: Listener] = [:]
    /// Those that could not be opened, and why.
    private var failed: [Place: String] = [:]
    private var isRetrying = false
    private static var retry: Duration { .seconds(2) }

    /// `open` makes a listener; `tried` is told when that succeeded (nil), and of each other failure.
    init(
        on loop: EventLoop,
        open: @escaping (Place) throws(SystemError) -> Listener,
        tried: @escaping (Place, String?) -> Void
    ) {
        self.loop = loop
        self.open = open
        self.tried = tried
    }

    func set(_ wanted: [Place]) {
        let places = Set(wanted)
        for (place, listener) in listeners where !places.contains(place) {
            listener.close()
            listeners[place] = nil
        }
        failed = failed.filter { places.contains($0.key) }
        for place in wanted where listeners[place] == nil { attempt(place) }
        retryLater()
    }

    private func attempt(_ place: Place) {
        do throws(SystemError) {
            listeners[place] = try open(place)
            failed[place] = nil
            tried(place, nil)
        } catch {
            let isTaken = error.code == EADDRINUSE
            let reason =
                isTaken
                ? "\(error): another process has it; end that one or choose another port"
                : "\(error)"
            guard failed[place] != reason else { return }
            failed[place] = reason
            tried(place, reason)
        }
    }

    private func retryLater() {
        guard !failed.isEmpty, !isRetrying else { return }
        isRetrying = true
        loop.schedule(after: Self.retry) { [weak self] _ in
            guard let self else { return }
            isRetrying = false
            for place in failed.keys { attempt(place) }
            retryLater()
        }
    }
}

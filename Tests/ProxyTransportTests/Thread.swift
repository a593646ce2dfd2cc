import Glibc

/// A thread of a test; joined by whoever made it.
struct Thread: Sendable {
    private let number: pthread_t

    init(_ body: @escaping @Sendable () -> Void) {
        let box = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
        var number = pthread_t()
        let status = unsafe pthread_create(
            &number,
            nil,
            { pointer in
                guard let pointer = unsafe pointer else { return nil }
                unsafe Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            },
            box
        )
        precondition(status == 0, "no thread")
        self.number = number
    }

    func join() { _ = pthread_join(number, nil) }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

import KubernetesAPI
import KubernetesClient
import Logging
import NetworkModel

/// The present state, as a watch sends it before the events.
private struct InitialState<Object: KubernetesObject> {
    var objects: [ObjectKey: Object] = [:]
    var undecodable: [ObjectKey: Undecodable] = [:]

    mutating func take(_ event: WatchEvent<Object>) {
        switch event {
        case .added(let object), .modified(let object):
            objects[object.key] = object
            undecodable[object.key] = nil
        case .deleted(let object):
            objects[object.key] = nil
            undecodable[object.key] = nil
        case .undecodable(let failure, let isDeletion):
            objects[failure.key] = nil
            undecodable[failure.key] = isDeletion ? nil : failure
        case .bookmark, .failed: break
        }
    }
}

extension ReflectorSession {
    mutating func watch() async -> Outcome {
        await follow(WatchOptions(resourceVersion: position, timeoutSeconds: watchSeconds()))
    }

    /// A watch that tells the present state first, then goes on as any other.
    mutating func watchFromStart() async -> Outcome {
        let options = WatchOptions(
            resourceVersion: floor,
            timeoutSeconds: watchSeconds(),
            sendsInitialEvents: true
        )
        return await follow(options)
    }

    private func watchSeconds() -> Int { .random(in: settings.watchSeconds) }

    private mutating func follow(_ options: WatchOptions) async -> Outcome {
        let began = time.now
        var initial: InitialState<Object>? = options.sendsInitialEvents ? InitialState() : nil
        var isOpen = false
        var hasHeard = false
        let outcome: Outcome
        do {
            outcome = try await client.withWatch(Object.self, in: scope, options: options) {
                events in
                isOpen = true
                if initial == nil { health(.following) }
                for try await event in events {
                    hasHeard = true
                    if let ending = take(event, &initial) { return ending }
                }
                return .fine
            }
        } catch let error as APIError {
            outcome = ending(error, isInitial: initial != nil, isOpen: isOpen)
        } catch {
            outcome = .failed("\(error)", .silent, retryAfter: nil)
        }
        let elapsed = time.now - began
        if !hasHeard { isDoubtful = true }
        if elapsed >= settings.calm {
            backoff.reset()
            expiries = 0
        }
        if isOpen, options.sendsInitialEvents { noteStart(isWhole: initial == nil) }
        guard case .fine = outcome else { return outcome }
        if initial != nil {
            return .failed("a watch ended within its initial state", .broken, retryAfter: nil)
        }
        guard elapsed < settings.shortestWatch else {
            shortWatches = 0
            return .fine
        }
        guard hasHeard else {
            return .failed("a watch ended at once, having told nothing", .broken, retryAfter: nil)
        }
        shortWatches += 1
        guard shortWatches > Self.freeShortWatches else { return .fine }
        return .failed("watches end at once, again and again", .broken, retryAfter: nil)
    }

    /// So many watches in a row may end at once, having told something, before the next one waits.
    private static var freeShortWatches: Int { 3 }

    /// A server that cannot send the initial state whole, as when it is more than its buffer holds, is asked for lists,
    /// which come in pages.
    private mutating func noteStart(isWhole: Bool) {
        brokenStarts = isWhole ? 0 : brokenStarts + 1
        guard brokenStarts > 1 else { return }
        brokenStarts = 0
        usesWatchList = false
    }

    /// Takes one event in; not nil when the watch is over with it.
    private mutating func take(
        _ event: WatchEvent<Object>,
        _ initial: inout InitialState<Object>?
    ) -> Outcome? {
        switch event {
        case .failed(let status): return outcome(of: .status(status))
        case .bookmark(let version, let endsInitialEvents):
            guard let state = initial else {
                position = version
                sink(.progressed(resourceVersion: version))
                return nil
            }
            guard endsInitialEvents else { return nil }
            initial = nil
            let objects = state.objects.values.sorted { $0.key < $1.key }
            _ = begin(objects, Array(state.undecodable.values), at: version)
            health(.following)
            return nil
        default: break
        }
        guard initial == nil else {
            initial?.take(event)
            return nil
        }
        tell(event)
        return nil
    }

    private mutating func tell(_ event: WatchEvent<Object>) {
        switch event {
        case .added(let object), .modified(let object):
            position = object.metadata.resourceVersion ?? position
            sink(.put(object))
        case .deleted(let object):
            position = object.metadata.resourceVersion ?? position
            sink(.removed(object))
        case .undecodable(let failure, let isDeletion):
            logger.error("\(failure)")
            position = failure.metadata.resourceVersion ?? position
            sink(isDeletion ? .removedUndecodable(failure.key) : .undecodable(failure))
        case .bookmark, .failed: break
        }
    }

    /// What an error of a watch means.
    private mutating func ending(
        _ error: APIError,
        isInitial: Bool,
        isOpen: Bool
    ) -> Outcome {
        if isInitial {
            switch error {
            case .status(let status) where status.refusesOptions:
                // This server sends no initial events.
                usesWatchList = false
                return .fine
            case .transport where error.isTimedOut && isOpen:
                // A server that does not know the option never ends the initial state.
                usesWatchList = false
                return .failed("no end of the initial state", .silent, retryAfter: nil)
            default: return outcome(of: error)
            }
        }
        // An established watch that broke: go on where it was, at once; the next failure waits.
        if case .transport = error, isOpen {
            logger.debug("a watch broke: \(error)")
            return .fine
        }
        return outcome(of: error)
    }
}

extension APIStatus {
    /// The server does not understand what was asked for; a missing right, or kind, may be there a moment later.
    fileprivate var refusesOptions: Bool {
        (code == 400 || code == 422) && !isExpired && !isTooLargeResourceVersion
    }
}

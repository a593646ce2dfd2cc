import KubernetesAPI
import NetworkModel

/// Which notes are worth an Event, so that something that happens again and again does not fill the API server.
///
/// The limits are those of client-go: an object may have 25 Events at once and then one in five minutes; of those that
/// differ only in what they say, the first ten in ten minutes are told, then one that stands for the others.
struct EventFilter {
    static let burst = 25
    static let refill: Duration = .seconds(300)
    static let similar = 10
    static let window: Duration = .seconds(600)
    /// So many objects, and kinds of notes, are remembered; beyond that those are forgotten that were not heard of for long.
    static let limit = 4096

    private struct Object: Hashable {
        var uid: String
        var kind: String
        var namespace: String
        var name: String

        init(_ reference: ObjectReference) {
            uid = reference.uid ?? ""
            kind = reference.kind ?? ""
            namespace = reference.namespace ?? ""
            name = reference.name ?? ""
        }
    }

    private struct Similar: Hashable {
        var object: Object
        var kind: EventNote.Kind
        var reason: String
    }

    private struct Told {
        var since: Timestamp
        var count = 0
    }

    /// When all that an object has told would have been told at the steady pace.
    private var spent: [Object: Timestamp] = [:]
    private var told: [Similar: Told] = [:]

    /// Objects that are remembered.
    var count: Int { spent.count }

    /// The note to be written for this one; nil: none.
    mutating func pass(_ note: EventNote) -> EventNote? {
        let now = note.time
        let object = Object(note.regarding)
        guard let gathered = gather(note, about: object) else { return nil }
        makeRoom(at: now)
        let earliest = now + Self.refill * -Self.burst
        let next = max(spent[object] ?? earliest, earliest) + Self.refill
        guard next <= now else { return nil }
        spent[object] = next
        return gathered
    }

    /// The same note, one that stands for many, or none when that was told.
    private mutating func gather(_ note: EventNote, about object: Object) -> EventNote? {
        let similar = Similar(object: object, kind: note.kind, reason: note.reason)
        var entry = told[similar] ?? Told(since: note.time)
        if note.time - entry.since >= Self.window { entry = Told(since: note.time) }
        entry.count += 1
        told[similar] = entry
        if entry.count <= Self.similar { return note }
        guard entry.count == Self.similar + 1 else { return nil }
        var gathered = note
        gathered.text =
            "more than \(Self.similar) times in \(Self.window.components.seconds / 60) minutes, and not told again for now: \(note.text)"
        return gathered
    }

    private mutating func makeRoom(at now: Timestamp) {
        if told.count >= Self.limit {
            told = told.filter { now - $0.value.since < Self.window }
            if told.count >= Self.limit { told = [:] }
        }
        guard spent.count >= Self.limit else { return }
        spent = spent.filter { now - $0.value < Self.refill * Self.burst }
        if spent.count >= Self.limit { spent = [:] }
    }
}

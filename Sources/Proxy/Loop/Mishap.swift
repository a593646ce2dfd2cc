import Logging

/// What must not happen, and harms nobody who is served when it does: it is said, and fails the test run that it is said in.
enum Mishap {
    static func tell(_ what: String) {
        Logger(label: "tieline.proxy").critical("a fault of Tieline itself: \(what)")
    }
}

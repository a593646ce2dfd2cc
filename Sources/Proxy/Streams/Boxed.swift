/// A value with memory of its own: what a connection needs for a while only takes no room in it for the rest of its life.
final class Boxed<Value> {
    let value: Value

    init(_ value: Value) { self.value = value }
}

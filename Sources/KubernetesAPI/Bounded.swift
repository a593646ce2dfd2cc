extension String {
    /// The text itself, or so much of its beginning that it has at most `limit` bytes with the `…` that follows.
    ///
    /// It ends between characters. `limit` is at least 3, the length of the `…`.
    package func cut(toBytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: limit - 3)
        while end.samePosition(in: self) == nil { end = utf8.index(before: end) }
        return self[..<end] + "…"
    }
}

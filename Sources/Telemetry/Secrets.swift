/// Whether two secrets are equal, in a time that depends on the length of `given` only.
package func constantTimeEquals(_ given: String, _ expected: String) -> Bool {
    let given = Array(given.utf8)
    let expected = Array(expected.utf8)
    var difference: UInt8 = given.count == expected.count && !expected.isEmpty ? 0 : 1
    for (index, byte) in given.enumerated() {
        difference |= byte ^ (expected.isEmpty ? 0 : expected[index % expected.count])
    }
    return difference == 0
}

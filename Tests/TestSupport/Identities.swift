package import NetworkModel

/// Site number `index` of a test, in the order of their identities.
package func site(_ index: Int) -> SiteID {
    var letters = [UInt8](repeating: UInt8(ascii: "A"), count: SiteID.length)
    var rest = index
    for place in letters.indices.reversed() where rest > 0 {
        letters[place] += UInt8(rest % 26)
        rest /= 26
    }
    let text = String(decoding: letters, as: UTF8.self)
    guard let id = SiteID(text) else { preconditionFailure("\(text) is not a SiteID") }
    return id
}

package import NetworkModel

/// Site number `index` of a test, in the order of their identities.
package func site(_ index: Int) -> SiteID {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    var text = ""
    var rest = index
    for _ in 0..<SiteID.length {
        text = String(letters[rest % letters.count]) + text
        rest /= letters.count
    }
    guard let id = SiteID(text) else { preconditionFailure("\(text) is not a SiteID") }
    return id
}

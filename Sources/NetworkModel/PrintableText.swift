extension String {
    /// The text with `?` for every scalar that could forge a line of a log or of a terminal: controls, line and paragraph
    /// separators, and invisible format characters such as those that reverse the direction of text.
    ///
    /// For text that others chose and people read.
    package var printable: String {
        // Mostly names: looked at by their bytes, of which an advertisement may bring thousands.
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return self }
        guard unicodeScalars.contains(where: { !$0.isPrintable }) else { return self }
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars { text.append(scalar.isPrintable ? scalar : "?") }
        return String(text)
    }
}

extension Unicode.Scalar {
    fileprivate var isPrintable: Bool {
        if isASCII { return value >= 0x20 && value != 0x7F }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

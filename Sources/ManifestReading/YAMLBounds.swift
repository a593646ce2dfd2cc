import CYaml

/// What a text would become as objects, before anything is made of it.
///
/// Ten lines of aliases can stand for more than any memory holds. The events of the text are counted, an alias as what it
/// stands for: in one pass, in a time that depends on the length of the text only.
enum YAMLBounds {
    /// Values in one file, with what aliases repeat.
    static let maximumValues = 400_000
    /// Lists and maps within each other.
    static let maximumDepth = 64

    struct Excess: Error {
        /// From 1.
        var line: Int
        var message: String
    }

    /// Throws when `text` goes beyond the bounds; a text that is no YAML passes: who reads it says why.
    static func check(_ text: String) throws(Excess) {
        var counter = Counter()
        var text = text
        let excess = text.withUTF8 { bytes in unsafe walk(bytes, &counter) }
        if let excess { throw excess }
    }

    private static func walk(_ text: UnsafeBufferPointer<UInt8>, _ counter: inout Counter)
        -> Excess?
    {
        var parser = unsafe yaml_parser_t()
        guard unsafe yaml_parser_initialize(&parser) == 1 else { return nil }
        defer { unsafe yaml_parser_delete(&parser) }
        unsafe yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(&parser, text.baseAddress, text.count)
        while true {
            var event = unsafe yaml_event_t()
            guard unsafe yaml_parser_parse(&parser, &event) == 1 else { return nil }
            defer { unsafe yaml_event_delete(&event) }
            let type = unsafe event.type
            if type == YAML_STREAM_END_EVENT { return nil }
            switch type {
            case YAML_DOCUMENT_START_EVENT: counter.sizes = [:]
            case YAML_SCALAR_EVENT: counter.scalar(unsafe name(event.data.scalar.anchor))
            case YAML_ALIAS_EVENT: counter.alias(unsafe name(event.data.alias.anchor) ?? "")
            case YAML_SEQUENCE_START_EVENT:
                counter.open(unsafe name(event.data.sequence_start.anchor))
            case YAML_MAPPING_START_EVENT:
                counter.open(unsafe name(event.data.mapping_start.anchor))
            case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: counter.close()
            default: break
            }
            if let message = counter.excess {
                return Excess(line: unsafe Int(event.start_mark.line) + 1, message: message)
            }
        }
    }

    private static func name(_ anchor: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        unsafe anchor.map { unsafe String(cString: $0) }
    }

    private struct Counter {
        /// Of the anchors of this document.
        var sizes: [String: Int] = [:]
        private var open: [(anchor: String?, size: Int)] = []
        private var total = 0

        var excess: String? {
            if open.count > maximumDepth {
                return "more than \(maximumDepth) lists and maps stand within each other here"
            }
            guard total > maximumValues else { return nil }
            return
                "this file stands for more than \(maximumValues) values, what aliases repeat included"
        }

        mutating func scalar(_ anchor: String?) {
            add(1)
            if let anchor { sizes[anchor] = 1 }
        }

        mutating func alias(_ anchor: String) { add(sizes[anchor] ?? 1) }

        mutating func open(_ anchor: String?) {
            total += 1
            open.append((anchor, 1))
        }

        mutating func close() {
            guard let ended = open.popLast() else { return }
            if let anchor = ended.anchor { sizes[anchor] = ended.size }
            // Its members are in the total already.
            if !open.isEmpty { open[open.count - 1].size += ended.size }
        }

        private mutating func add(_ size: Int) {
            // Bounded: beyond the maximum nothing is counted any more.
            total += size
            if !open.isEmpty { open[open.count - 1].size += size }
        }
    }
}

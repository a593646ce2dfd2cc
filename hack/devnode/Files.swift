import FoundationEssentials
import Glibc

/// The few file operations that devnode needs, with errors that name the path.
enum Files {
    static func makeDirectory(_ path: String) throws {
        var partial = ""
        for part in path.split(separator: "/") {
            partial += "/" + part
            guard unsafe mkdir(partial, 0o755) != 0, errno != EEXIST else { continue }
            throw SystemError(operation: "make \(partial)", code: errno)
        }
    }

    static func write(_ data: Data, to path: String) throws {
        let descriptor = try SystemError.checkErrno(
            unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644),
            "open \(path)"
        )
        defer { close(descriptor) }
        var rest = data[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            guard count >= 0 else { throw SystemError(operation: "write \(path)", code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    static func write(_ text: String, to path: String) throws {
        try write(Data(text.utf8), to: path)
    }

    static func read(_ path: String) throws -> Data {
        try Data(contentsOf: URL(filePath: path))
    }

    /// Removes a file or a whole directory; what is not there is fine.
    static func remove(_ path: String) {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Makes a symbolic link, in place of one that is there, without a moment in between.
    static func link(_ target: String, at path: String) throws {
        let temporary = path + ".new"
        unsafe unlink(temporary)
        try SystemError.checkErrno(unsafe symlink(target, temporary), "link \(temporary)")
        try SystemError.checkErrno(unsafe rename(temporary, path), "rename \(temporary)")
    }

    /// Opens a file to append to it.
    static func appending(_ path: String) throws -> Int32 {
        try SystemError.checkErrno(
            unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644),
            "open \(path)"
        )
    }
}

/// The files of a volume, replaced as one: readers see all old or all new ones.
///
/// The layout is the kubelet's: every file is a link through `..data`, which is swapped by a rename.
struct AtomicDirectory: Sendable {
    let path: String
    private var current: [String: Data]?
    private var generation = 0

    init(path: String) throws {
        self.path = path
        try Files.makeDirectory(path)
    }

    /// Writes the files unless they are the same as before.
    mutating func replace(with files: [String: Data]) throws {
        guard files != current else { return }
        generation += 1
        let before = "..\(generation - 1)"
        let next = "..\(generation)"
        try Files.makeDirectory("\(path)/\(next)")
        for (name, data) in files {
            let file = "\(path)/\(next)/\(name)"
            if name.contains("/") {
                try Files.makeDirectory(String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]))
            }
            try Files.write(data, to: file)
        }
        try Files.link(next, at: "\(path)/..data")
        let roots = Self.roots(files)
        for name in roots where !Self.roots(current ?? [:]).contains(name) {
            try Files.link("..data/\(name)", at: "\(path)/\(name)")
        }
        for name in Self.roots(current ?? [:]) where !roots.contains(name) {
            unsafe unlink("\(path)/\(name)")
        }
        if generation > 1 { Files.remove("\(path)/\(before)") }
        current = files
    }

    private static func roots(_ files: [String: Data]) -> Set<String> {
        Set(files.keys.map { String($0.prefix { $0 != "/" }) })
    }
}

import FoundationEssentials
import Glibc

/// Reading and replacing small files.
enum Files {
    /// Larger files are not ours.
    static let maximumBytes = 8 << 20

    /// The bytes of the file; nil when there is none.
    static func read(_ path: String) throws -> Data? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let data = try Data(contentsOf: URL(filePath: path))
        guard data.count <= maximumBytes else {
            throw FileProblem("\(path) is larger than \(maximumBytes) bytes")
        }
        return data
    }

    /// Replaces the file in one step: who reads it sees the old bytes or the new ones, also after a crash.
    static func replace(_ path: String, with data: Data, mode: mode_t = 0o600) throws {
        let temporary = "\(path).tmp-\(getpid())"
        do {
            try write(temporary, data, mode: mode)
            guard unsafe rename(temporary, path) == 0 else { throw FileProblem(path, errno) }
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }

    /// Writes a new file and brings it to the disk.
    static func write(_ path: String, _ data: Data, mode: mode_t) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw FileProblem(path, errno) }
        defer { close(descriptor) }
        guard fchmod(descriptor, mode) == 0 else { throw FileProblem(path, errno) }
        var rest = data[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { bytes in
                unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            }
            guard written > 0 else { throw FileProblem(path, errno) }
            rest = rest.dropFirst(written)
        }
        guard fsync(descriptor) == 0 else { throw FileProblem(path, errno) }
    }

    /// Removes what writers that were killed left behind.
    static func removeTemporaries(in directory: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for name in names where name.contains(".tmp-") { _ = unsafe unlink("\(directory)/\(name)") }
    }

    static func makeDirectory(_ path: String, mode: mode_t) throws {
        guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
            throw FileProblem(path, errno)
        }
    }
}

/// Why a file could not be read or written.
struct FileProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(_ path: String, _ code: Int32) {
        description = "\(path): \(unsafe String(cString: strerror(code)))"
    }
}

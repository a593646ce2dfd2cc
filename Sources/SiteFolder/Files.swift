import CLinux
package import FoundationEssentials
import Glibc

/// Reading and replacing small files.
package enum Files {
    /// Larger files are not ours.
    package static let maximumBytes = 8 << 20

    /// The bytes of the file; nil when there is none.
    ///
    /// - Throws: `FileProblem` when it is there, or may be there, and cannot be read.
    package static func read(_ path: String) throws -> Data? { try look(path)?.data }

    /// What a look at a file showed.
    package struct Look {
        package var data: Data
        /// Somebody has it open for writing; nil where the kernel does not tell us.
        package var isOpenForWriting: Bool?
        /// Seconds since it was written last.
        package var age: Int
    }

    package static func look(_ path: String) throws -> Look? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw FileProblem(path, errno)
        }
        defer { close(descriptor) }
        var facts = stat()
        guard unsafe fstat(descriptor, &facts) == 0 else { throw FileProblem(path, errno) }
        switch facts.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw FileProblem("\(path) is a folder, not a file")
        default: throw FileProblem("\(path) is not a regular file")
        }
        let data = try read(descriptor, path)
        let writers = clinux_has_writer(descriptor)
        return Look(
            data: data,
            isOpenForWriting: writers < 0 ? nil : writers == 1,
            age: time(nil) - facts.st_mtim.tv_sec
        )
    }

    private static func read(_ descriptor: Int32, _ path: String) throws -> Data {
        var data = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return data }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw FileProblem(path, errno)
            }
            data.append(contentsOf: buffer[..<count])
            guard data.count <= maximumBytes else {
                throw FileProblem("\(path) is larger than \(maximumBytes) bytes")
            }
        }
    }

    package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// - Throws: when it cannot be told.
    package static func exists(orThrow path: String) throws -> Bool {
        if unsafe access(path, F_OK) == 0 { return true }
        guard errno == ENOENT else { throw FileProblem(path, errno) }
        return false
    }

    /// What a symbolic link leads to; nil when it is none.
    package static func target(ofLink path: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: path)
    }

    package static func withoutSlash(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// The names of what is in a folder; none when it cannot be read.
    package static func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }

    /// The same, sorted.
    ///
    /// - Throws: `FileProblem` when the folder cannot be read.
    package static func list(_ directory: String) throws -> [String] {
        let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem(directory, errno) }
        close(descriptor)
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        } catch {
            throw FileProblem("\(directory) cannot be read")
        }
    }

    /// Replaces the file in one step: who reads it sees the old bytes or the new ones.
    ///
    /// Also after a crash of the machine, unless it need not be `durable`: then the disk is not waited for.
    package static func replace(
        _ path: String,
        with data: Data,
        mode: UInt32 = 0o600,
        durable: Bool = true,
        owner: Owner? = nil
    ) throws {
        let temporary = "\(path).tmp-\(getpid())"
        do {
            try write(temporary, data, mode: mode, durable: durable, owner: owner)
            guard unsafe rename(temporary, path) == 0 else { throw FileProblem(path, errno) }
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
        if durable { try syncFolder(of: path) }
    }

    /// Brings the names in the folder of a file to the disk.
    package static func syncFolder(of path: String) throws {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem(folder, errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileProblem(folder, errno) }
    }

    /// Whose a file is.
    package struct Owner: Equatable, Sendable {
        private let user: uid_t
        private let group: gid_t

        /// That of a file or folder; nil when it is this process's user, who need give nothing away, or cannot be told.
        package init?(of path: String) {
            var facts = stat()
            guard unsafe stat(path, &facts) == 0, facts.st_uid != geteuid() else { return nil }
            (user, group) = (facts.st_uid, facts.st_gid)
        }

        func take(_ descriptor: Int32) -> Bool { fchown(descriptor, user, group) == 0 }
    }

    /// Writes a new file and brings it to the disk.
    package static func write(
        _ path: String,
        _ data: Data,
        mode: UInt32,
        durable: Bool = true,
        owner: Owner? = nil
    ) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw FileProblem(path, errno) }
        defer { close(descriptor) }
        guard fchmod(descriptor, mode) == 0, owner?.take(descriptor) ?? true else {
            throw FileProblem(path, errno)
        }
        var rest = data[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { bytes in
                unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            }
            guard written > 0 else { throw FileProblem(path, errno) }
            rest = rest.dropFirst(written)
        }
        guard !durable || fsync(descriptor) == 0 else { throw FileProblem(path, errno) }
    }

    /// Removes what writers that were killed left behind.
    package static func removeTemporaries(in directory: String) {
        for name in names(in: directory) where name.contains(".tmp-") {
            _ = unsafe unlink("\(directory)/\(name)")
        }
    }

    package static func makeDirectory(_ path: String, mode: UInt32, owner: Owner? = nil) throws {
        guard unsafe mkdir(path, mode) == 0 else {
            guard errno == EEXIST else { throw FileProblem(path, errno) }
            return
        }
        guard let owner else { return }
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem(path, errno) }
        defer { close(descriptor) }
        guard owner.take(descriptor) else { throw FileProblem(path, errno) }
    }
}

/// Why a file could not be read or written.
package struct FileProblem: Error, CustomStringConvertible {
    package let description: String
    /// Without the file that met it.
    package let cause: String
    /// It may be over without anybody having corrected a file: no room on the disk, no descriptors.
    package let isPassing: Bool

    package init(_ description: String) {
        self.description = description
        cause = description
        isPassing = false
    }

    package init(_ path: String, _ code: Int32) {
        isPassing = [ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM].contains(code)
        cause = unsafe String(cString: strerror(code))
        description = "\(path): \(cause)"
    }
}

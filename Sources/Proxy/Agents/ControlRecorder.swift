import FoundationEssentials
import Glibc
import NetworkModel
import SiteControl

/// Writes what the control is fed into a file, one line for each input, until the file is full.
///
/// Confined to loop 0. Only for looking at faults: what is written waits for the disk.
final class ControlRecorder: Sendable {
    /// Bytes of one recording.
    static let limit = 256 << 20

    private let file: FileDescriptor

    /// Begins the file anew; only this user may read it.
    init(_ path: String) throws(SystemError) {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
        let number = unsafe open(path, flags, 0o600)
        guard number >= 0 else { throw SystemError("open \(path)", code: errno) }
        file = FileDescriptor(owning: number)
    }

    /// Appends a line; false when it does not fit any more, or cannot be written.
    func append(_ line: Data) -> Bool {
        let size = lseek(file.number, 0, SEEK_CUR)
        guard size >= 0, Int(size) + line.count < Self.limit else { return false }
        var rest = line + [UInt8(ascii: "\n")]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { bytes in
                unsafe write(file.number, bytes.baseAddress, bytes.count)
            }
            guard count > 0 else { return false }
            rest = Data(rest.dropFirst(count))
        }
        return true
    }
}

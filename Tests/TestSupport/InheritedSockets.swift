import Glibc

/// Closes the sockets that an exit test's process inherited from the test run.
///
/// For tests that live on few descriptors: how many sockets other tests hold is not theirs to know. Called first.
package func closeInheritedSockets() {
    for number in Int32(3)..<4_096 {
        var status = stat()
        if unsafe fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { close(number) }
    }
}

import COpenSSL
import Foundation
import HTTPTransport
import Testing

/// Processes that end while their transport's threads are still at it.
@Suite("The end of a process", .timeLimit(.minutes(1)))
struct ExitTests {
    @Test("OpenSSL is not taken apart at exit, when a thread of a transport may just be ending")
    func openSSL() async {
        await #expect(processExitsWith: .success) {
            _ = HTTPTransport()
            // Called where OpenSSL cleans up.
            guard OPENSSL_atexit({ _exit(9) }) == 1 else { _exit(8) }
            exit(0)
        }
    }
}

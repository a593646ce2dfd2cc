import FuzzDriver
import FuzzTargets
import Glibc

// hack/fuzz.sh builds and runs this. TIELINE_FUZZ names the target; the arguments are libFuzzer's.

private let target: FuzzTarget = {
    let name = unsafe getenv("TIELINE_FUZZ").map { unsafe String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
        print("TIELINE_FUZZ is one of \(names)")
        exit(2)
    }
    return target
}()

@c(LLVMFuzzerTestOneInput)
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    unsafe target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
exit(unsafe LLVMFuzzerRunDriver(&count, &arguments, testOneInput))

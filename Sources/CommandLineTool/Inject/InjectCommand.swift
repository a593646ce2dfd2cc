import ArgumentParser
import FoundationEssentials
import Glibc
import Injection
import ManifestReading
import NetworkModel

struct InjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inject",
        abstract: "Give the workloads of manifests a sidecar.",
        discussion: """
            Reads manifests and writes them with a sidecar in every Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob and \
            Pod; everything else passes through as it is. No cluster is asked: the services are those of --services, of the annotation \
            \(InjectionName.servicesAnnotation) of the Pods, or else all Services of tieline.dev in the same manifests that their Site listens for. \
            Doing it again changes nothing. Pods with the label \(InjectionName.label): \(InjectionName.disabled) are left alone.

            What is left alone or left out is said on standard error. Exits 0, or 1 without any output when something is wrong with the input.

            Examples:
              tieline inject -f app.yaml -f services.yaml -n shop > injected.yaml
              kubectl kustomize . | tieline inject | kubectl apply -f -
              tieline inject -f job.yaml -n shop --services backend/http:8080,db/tcp:5432
            """
    )

    @Option(
        name: [.customShort("f"), .long],
        help: "A manifest file; - is standard input. Several are written one after the other."
    )
    var filename: [String] = ["-"]

    @Option(
        help:
            "The services to be used, as NAME, NAME/PORTNAME or NAME/PORTNAME:PORT with commas; it becomes the annotation."
    )
    var services: String?

    @Option(name: [.short, .long], help: "The namespace of objects that name none.")
    var namespace: String?

    @Option(help: "The image of the sidecar.")
    var image = "tieline-proxy:\(Build.version)"

    func validate() throws {
        guard let services else { return }
        do {
            _ = try ServiceChoice(services)
        } catch { throw ValidationError("--services: \(error)") }
    }

    func run() async throws {
        // No `map`: the optimizer of Swift 6.3.1 fails on a closure with two kinds of errors.
        var streams: [ManifestStream] = []
        for name in filename { streams.append(try ManifestStream(try Self.read(name), file: name)) }
        var injector = ManifestInjector(services: services, namespace: namespace, image: image)
        let text = try injector.inject(into: streams)
        for note in injector.notes { Self.tell(note) }
        print(text, terminator: "")
    }

    /// The text of a file, which may be a pipe, or of the standard input ("-").
    static func read(_ name: String) throws -> String {
        let isStandardInput = name == "-"
        let descriptor = isStandardInput ? STDIN_FILENO : unsafe open(name, O_RDONLY | O_CLOEXEC)
        defer { if !isStandardInput, descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, let data = readAll(descriptor) else {
            throw NotFound("\(name) cannot be read; is it there, and may you?")
        }
        do {
            return try ManifestText.decode(data)
        } catch { throw NotFound("\(name): \(error)") }
    }

    /// Nil when it cannot be read to its end.
    private static func readAll(_ descriptor: Int32) -> Data? {
        var data = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            guard count != 0 else { return data }
            guard count > 0 else { return nil }
            data.append(contentsOf: buffer[..<count])
        }
    }

    private static func tell(_ note: String) {
        let line = Array("\(note)\n".utf8)
        _ = unsafe write(STDERR_FILENO, line, line.count)
    }
}

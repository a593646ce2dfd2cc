import Foundation
import HTTPTransport
import KubernetesClient
import NetworkTestSupport
import Testing

/// A directory that goes with the test.
final class ScratchDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/" + TestAPIServer.uniqueName("tieline-kubeconfig")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(filePath: file))
        return file
    }
}

private let twoContexts = """
    apiVersion: v1
    kind: Config
    current-context: east
    clusters:
    - name: east
      cluster:
        server: https://east.example.com:6443/
        certificate-authority: ca.pem
        tls-server-name: kubernetes
    - name: west
      cluster: {server: "https://10.0.0.1", insecure-skip-tls-verify: true, proxy-url: "http://p:1"}
    users:
    - name: admin
      user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
    - name: robot
      user: {tokenFile: token}
    - name: cloud
      user: {exec: {apiVersion: x, command: get-token}}
    - name: both
      user: {tokenFile: token, token: abc, as: boss, as-groups: [staff], as-user-extra: {example.com/why: [x]}}
    - name: basic
      user: {username: a, password: b}
    contexts:
    - {name: east, context: {cluster: east, user: admin, namespace: shop}}
    - {name: west, context: {cluster: west, user: robot}}
    - {name: both, context: {cluster: east, user: both}}
    - {name: basic, context: {cluster: east, user: basic}}
    - {name: cloud, context: {cluster: east, user: cloud}}
    - {name: lost, context: {cluster: nowhere, user: admin}}
    """

@Suite("Kubeconfig")
struct KubeconfigTests {
    private let directory: ScratchDirectory
    private let file: String

    init() throws {
        directory = try ScratchDirectory()
        file = try directory.write("config", twoContexts)
        _ = try directory.write("ca.pem", "authority")
    }

    @Test("the current context is taken, files are found beside the kubeconfig")
    func current() throws {
        let configuration = try ClientConfiguration.load(files: [file])
        #expect(configuration.server == "https://east.example.com:6443")
        #expect(configuration.namespace == "shop")
        #expect(configuration.tls.authorities == Data("authority".utf8))
        #expect(configuration.tls.certificate == Data("cert".utf8))
        #expect(configuration.tls.key == Data("key".utf8))
        #expect(configuration.tls.verifiesPeer && configuration.tlsServerName == "kubernetes")
        #expect(configuration.credential == .none)
    }

    @Test("another context can be asked for")
    func context() throws {
        let configuration = try ClientConfiguration.load(files: [file], context: "west")
        #expect(configuration.namespace == "default")
        #expect(configuration.credential == .tokenFile(directory.path + "/token"))
        #expect(!configuration.tls.verifiesPeer && configuration.proxy == .url("http://p:1"))
    }

    @Test("several files are merged, the first one wins")
    func merging() throws {
        let first = try directory.write(
            "first",
            """
            current-context: west
            users: [{name: robot, user: {token: abc}}]
            """
        )
        let paths = "\(first):\(directory.path)/missing:\(file)"
        let configuration = try ClientConfiguration.load(environment: ["KUBECONFIG": paths])
        #expect(configuration.server == "https://10.0.0.1")
        #expect(configuration.credential == .token("abc"))
    }

    @Test(
        "what is wrong is said, without any of the file's secrets",
        arguments: [
            ("cloud", "has exec.apiVersion \"x\""), ("lost", "names no cluster"),
            ("absent", "only: basic, both, cloud, east"),
        ]
    )
    func errors(context: String, part: String) {
        #expect {
            _ = try ClientConfiguration.load(files: [file], context: context)
        } throws: {
            "\($0)".contains(part)
        }
    }

    @Test("broken files are named")
    func broken() throws {
        let broken = try directory.write("broken", "users: [{name: a, user: {token: [secret]}}]")
        #expect {
            _ = try ClientConfiguration.load(files: [broken])
        } throws: {
            "\($0)".contains(broken) && !"\($0)".contains("secret")
        }
        #expect(throws: ConfigurationError.self) {
            _ = try ClientConfiguration.load(files: [directory.path + "/none"])
        }
        #expect(throws: ConfigurationError.self) {
            _ = try ClientConfiguration.load(environment: ["HOME": directory.path])
        }
    }

    @Test("K11: a token's file comes before the token, a user may act as another one")
    func users() throws {
        let both = try ClientConfiguration.load(files: [file], context: "both")
        #expect(both.credential == .tokenFile(directory.path + "/token", fallback: "abc"))
        #expect(both.impersonation?.user == "boss" && both.impersonation?.groups == ["staff"])
        #expect(both.impersonation?.extra == ["example.com/why": ["x"]])
        let basic = try ClientConfiguration.load(files: [file], context: "basic")
        #expect(basic.credential == .password(user: "a", "b"))
    }

    @Test("K11: errors name the file and the reason in plain words")
    func plainWords() throws {
        let config = """
            clusters: [{name: c, cluster: {server: s, certificate-authority: X}}]
            contexts: [{name: x, context: {cluster: c}}]
            current-context: x
            """
        for (authority, reason) in [
            ("none.pem", "no such file or directory"), (".", "is a directory"),
        ] {
            let file = try directory.write("config", config.replacing("X", with: authority))
            let error = #expect(throws: ConfigurationError.self) {
                _ = try ClientConfiguration.load(files: [file])
            }
            let path = "\(directory.path)/\(authority)"
            #expect(error?.description == "\(path) cannot be read: \(reason)")
        }
        let error = #expect(throws: ConfigurationError.self) {
            _ = try ClientConfiguration.load(kubeconfig: directory.path)
        }
        #expect(error?.description == "\(directory.path) cannot be read: is a directory")
        let wrong = try directory.write(
            "wrong",
            "users: [{name: a, user: {exec: {command: x, env: [{name: A}]}}}]"
        )
        #expect {
            _ = try ClientConfiguration.load(files: [wrong])
        } throws: {
            "\($0)" == "\(wrong) is not a kubeconfig: users[0].user.exec.env[0].value is missing"
        }
    }

    @Test("K11: in a pod a kubeconfig wins, as with kubectl")
    func inPod() throws {
        let pod = ["KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"]
        let home = directory.path + "/home"
        try FileManager.default.createDirectory(
            atPath: home + "/.kube",
            withIntermediateDirectories: true
        )
        try Data(twoContexts.utf8).write(to: URL(filePath: home + "/.kube/config"))
        _ = try directory.write("home/.kube/ca.pem", "authority")
        func server(_ more: [String: String]) throws -> String {
            try ClientConfiguration.load(environment: pod.merging(more) { $1 }).server
        }
        #expect(try server(["KUBECONFIG": file]) == "https://east.example.com:6443")
        #expect(try server(["HOME": home]) == "https://east.example.com:6443")
        #expect(
            try ClientConfiguration.load(kubeconfig: file, environment: pod).server
                == "https://east.example.com:6443"
        )
        // Without one it is the pod's own account, which this machine has not.
        for more in [[:], ["HOME": directory.path], ["KUBECONFIG": directory.path + "/none"]] {
            #expect {
                _ = try server(more)
            } throws: {
                "\($0)".contains("service-account token")
            }
        }
    }

    @Test("a pod finds its API server, also at an IPv6 address")
    func inCluster() throws {
        _ = try directory.write("token", "t")
        _ = try directory.write("ca.crt", "authority")
        _ = try directory.write("namespace", "shop")
        let configuration = try ClientConfiguration.inCluster(
            environment: ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"],
            directory: directory.path
        )
        #expect(configuration.server == "https://[fd00::1]:443")
        #expect(configuration.namespace == "shop")
        #expect(configuration.credential == .tokenFile(directory.path + "/token"))
        #expect(throws: ConfigurationError.self) {
            _ = try ClientConfiguration.inCluster(environment: [:], directory: directory.path)
        }
    }
}

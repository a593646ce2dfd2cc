import Foundation
import HTTPTransport
import KubernetesAPI
import NetworkTestSupport
import Synchronization
import Testing

@testable import KubernetesClient

/// Kubeconfigs as the tools of clouds and identity providers write them.
private let clouds = """
    apiVersion: v1
    kind: Config
    current-context: eks
    preferences: {}
    clusters:
    - name: c
      cluster:
        server: https://ABC.gr7.eu-west-1.eks.amazonaws.com
        certificate-authority-data: Y2E=
        extensions:
        - name: client.authentication.k8s.io/exec
          extension: {audience: abc}
    contexts:
    - {name: eks, context: {cluster: c, user: eks}}
    - {name: gke, context: {cluster: c, user: gke}}
    - {name: aks, context: {cluster: c, user: aks}}
    - {name: oidc, context: {cluster: c, user: oidc}}
    - {name: old, context: {cluster: c, user: old}}
    - {name: alpha, context: {cluster: c, user: alpha}}
    - {name: beside, context: {cluster: c, user: beside}}
    - {name: modeless, context: {cluster: c, user: modeless}}
    users:
    - name: eks
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1beta1
          args: [--region, eu-west-1, eks, get-token, --cluster-name, shop, --output, json]
          command: aws
          env: [{name: AWS_PROFILE, value: shop}]
          provideClusterInfo: false
          interactiveMode: IfAvailable
    - name: gke
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1beta1
          command: gke-gcloud-auth-plugin
          installHint: Install gke-gcloud-auth-plugin for use with kubectl
          provideClusterInfo: true
    - name: aks
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1beta1
          args: [get-token, --login, azurecli, --server-id, 6dae42f8]
          command: kubelogin
          env: null
    - name: oidc
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1
          args: [oidc-login, get-token, "--oidc-issuer-url=https://issuer.example.com"]
          command: kubectl
          env: null
          interactiveMode: Never
          provideClusterInfo: false
    - name: old
      user: {auth-provider: {name: gcp, config: {cmd-path: /usr/bin/gcloud}}}
    - name: alpha
      user: {exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: aws-iam-authenticator}}
    - name: beside
      user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/login, interactiveMode: Always}}
    - name: modeless
      user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x}}
    """

@Suite("K11: credential plugins", .timeLimit(.minutes(1)))
struct CredentialPluginTests {
    private let directory: ScratchDirectory
    private let file: String

    init() throws {
        directory = try ScratchDirectory()
        file = try directory.write("config", clouds)
    }

    private func plugin(_ context: String) throws -> CredentialPlugin {
        let configuration = try ClientConfiguration.load(files: [file], context: context)
        guard case .plugin(let plugin) = configuration.credential else {
            throw ConfigurationError("\(context) has no plugin")
        }
        return plugin
    }

    /// A plugin that is a shell script; it appends a line to `runs` each time.
    private func script(_ body: String) throws -> CredentialPlugin {
        let path = try directory.write(
            "plugin",
            "#!/bin/sh\necho run >> \(directory.path)/runs\n\(body)\n"
        )
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        var plugin = CredentialPlugin(
            apiVersion: "client.authentication.k8s.io/v1",
            command: path,
            user: "u"
        )
        plugin.interaction = .never
        return plugin
    }

    private var runs: Int {
        let text = (try? String(contentsOfFile: directory.path + "/runs", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").count
    }

    private func answer(_ status: String) -> String {
        #"echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {\#(status)}}'"#
    }

    private func fails(_ plugin: CredentialPlugin, _ part: String) async {
        let error = await #expect(throws: APIError.self) {
            try await PluginCredentials(plugin).get()
        }
        let message = error.map { "\($0)" } ?? ""
        #expect(message.contains(part), "\(message)")
    }

    @Test("K11: what clouds write is understood")
    func kubeconfigs() throws {
        let eks = try plugin("eks")
        #expect(eks.command == "aws" && eks.arguments.count == 8 && eks.interaction == .ifAvailable)
        #expect(eks.environment == ["AWS_PROFILE": "shop"] && eks.cluster == nil)
        let gke = try plugin("gke")
        #expect(gke.installHint == "Install gke-gcloud-auth-plugin for use with kubectl")
        #expect(gke.cluster?["server"]?.string == "https://ABC.gr7.eu-west-1.eks.amazonaws.com")
        #expect(gke.cluster?["certificate-authority-data"]?.string == "Y2E=")
        #expect(gke.cluster?["config"]?["audience"]?.string == "abc")
        #expect(try plugin("aks").arguments.first == "get-token")
        let oidc = try plugin("oidc")
        #expect(oidc.command == "kubectl" && oidc.interaction == .never)
        #expect(try plugin("beside").command == directory.path + "/./bin/login")
    }

    @Test(
        "K11: what cannot be used is named, with the remedy",
        arguments: [
            ("old", "auth-provider gcp, which Kubernetes gave up with 1.26"),
            ("alpha", "v1beta1 are known; update aws-iam-authenticator"),
            ("modeless", "user \"modeless\" needs exec.interactiveMode"),
        ]
    )
    func refused(context: String, part: String) {
        #expect {
            _ = try ClientConfiguration.load(files: [file], context: context)
        } throws: {
            "\($0)".contains(part)
        }
    }

    @Test("K11: the plugin is told of itself and the cluster, and its token is kept")
    func token() async throws {
        var plugin = try script(
            #"printf '%s\n%s\n%s\n' "$KUBERNETES_EXEC_INFO" "$1" "$EXTRA" > "$OUT"; "#
                + answer(#""token": "abc""#)
        )
        plugin.arguments = ["an argument"]
        plugin.environment = ["OUT": directory.path + "/told", "EXTRA": "more"]
        plugin.cluster = ["server": "https://s"]
        let credentials = PluginCredentials(plugin)
        #expect(try await credentials.get().token == "abc")
        #expect(try await credentials.get().token == "abc")
        #expect(runs == 1)
        let told = try String(contentsOfFile: directory.path + "/told", encoding: .utf8)
            .split(separator: "\n")
        let info = try JSONDecoder().decode(JSONValue.self, from: Data(told[0].utf8))
        #expect(info["apiVersion"]?.string == "client.authentication.k8s.io/v1")
        #expect(info["spec"]?["interactive"]?.bool == false)
        #expect(info["spec"]?["cluster"]?["server"]?.string == "https://s")
        #expect(told[1...] == ["an argument", "more"])
    }

    @Test("K11: an expired credential is asked for anew, many askers cause one run")
    func expiry() async throws {
        let plugin = try script(
            "sleep 0.2; "
                + answer(#""token": "abc", "expirationTimestamp": "2030-01-01T00:00:00Z""#)
        )
        let time = Mutex<Int64>(1_893_455_000)  // 1000 s before
        let credentials = PluginCredentials(plugin) { time.withLock { $0 } }
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<20 { group.addTask { try await credentials.get().token } }
            for try await token in group { #expect(token == "abc") }
        }
        #expect(runs == 1)
        time.withLock { $0 = 1_893_455_994 }
        _ = try await credentials.get()
        #expect(runs == 1)
        time.withLock { $0 = 1_893_455_996 }
        _ = try await credentials.get()
        #expect(runs == 2)
        // One that was refused is not used again; another one stays.
        await credentials.refuse(PluginCredential(token: "other"))
        time.withLock { $0 = 1_893_455_000 }
        _ = try await credentials.get()
        #expect(runs == 2)
        await credentials.refuse(try await credentials.get())
        _ = try await credentials.get()
        #expect(runs == 3)
    }

    @Test("K11: a plugin that fails says why: it, or what it is in")
    func failures() async throws {
        await fails(try script("exit 3"), "user \"u\" failed with exit code 3")
        await fails(try script("kill -9 $$"), "was ended by signal 9")
        await fails(try script("echo hello"), "printed no ExecCredential")
        await fails(try script(answer(#""x": 1"#)), "gave neither a token nor")
        await fails(
            try script(answer(#""clientKeyData": "k""#)),
            "one of client certificate and key"
        )
        await fails(
            try script(
                #"echo '{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential"}'"#
            ),
            "answered in client.authentication.k8s.io/v1beta1"
        )
        await fails(try script("head -c 2000000 /dev/zero"), "printed more than a credential")
        var absent = CredentialPlugin(
            apiVersion: "client.authentication.k8s.io/v1",
            command: "tieline-no-such-plugin",
            user: "u"
        )
        absent.installHint = "get it from the shop"
        await fails(absent, "is not installed; get it from the shop")
        absent.command = directory.path
        await fails(absent, "cannot be run: permission denied")
    }

    @Test("K11: a plugin that hangs is stopped, with all that it started")
    func hanging() async throws {
        var plugin = try script(
            "sleep 600 & echo $! > \(directory.path)/child; trap '' TERM; sleep 600; sleep 600"
        )
        // Long enough for a shell to start on a busy machine.
        plugin.timeLimit = .seconds(3)
        await fails(plugin, "did not end within 3.0 seconds and was stopped")
        let text = try String(contentsOfFile: directory.path + "/child", encoding: .utf8)
        let child = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let isGone = await eventually {
            let state = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)
            return state.map { $0.contains(") Z ") } ?? true
        }
        #expect(isGone)
    }

    @Test("K11: what a plugin leaves behind does not hold its answer back")
    func left() async throws {
        let plugin = try script("(sleep 5; echo late) & " + answer(#""token": "abc""#))
        let began = ContinuousClock.now
        #expect(try await PluginCredentials(plugin).get().token == "abc")
        #expect(ContinuousClock.now - began < .seconds(4))
    }

    @Test(
        "K11: a real API server takes a plugin's token; after a 401 the plugin is asked again",
        .enabled(if: TestAPIServer.isThere, "\(TestAPIServer.absence)")
    )
    func endToEnd() async throws {
        let kubeconfig = try #require(TestAPIServer.kubeconfig)
        let state = URL(filePath: kubeconfig).deletingLastPathComponent().path
        var configuration = try ClientConfiguration.load(kubeconfig: kubeconfig)
        configuration.tls.certificate = nil
        configuration.tls.key = nil
        let token = try String(contentsOfFile: state + "/admin.token", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        // The first token that it gives out is wrong.
        configuration.credential = .plugin(
            try script(
                "if [ $(wc -l < \(directory.path)/runs) = 1 ]; then t=wrong; else t=\(token); fi; "
                    + #"printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}' $t"#
            )
        )
        let client = KubernetesClient(configuration: configuration)
        #expect(try await client.find(Core.Namespace.self, ObjectKey(name: "default")) != nil)
        #expect(try await client.find(Core.Namespace.self, ObjectKey(name: "default")) != nil)
        #expect(runs == 2)
        // As somebody who may do nothing.
        configuration.impersonation = .init(user: "nobody", groups: ["none"])
        let error = await #expect(throws: APIError.self) {
            try await KubernetesClient(configuration: configuration)
                .find(Core.Namespace.self, ObjectKey(name: "default"))
        }
        #expect(error?.isForbidden == true && error?.description.contains("nobody") == true)
    }
}

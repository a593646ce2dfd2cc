import KubernetesAPI
import Testing

@testable import KubernetesRuntime

private func map(_ name: String, _ version: String, namespace: String = "n") -> Core.ConfigMap {
    Core.ConfigMap {
        $0.metadata = ObjectMeta(name: name, namespace: namespace)
        $0.metadata.resourceVersion = version
    }
}

private func describe(_ change: Change<Core.ConfigMap>?) -> String {
    switch change {
    case .added(let map)?: "+\(map.metadata.name)"
    case .updated(let old, let new)?:
        "\(new.metadata.name):\(old.metadata.resourceVersion ?? "")>\(new.metadata.resourceVersion ?? "")"
    case .deleted(let map)?: "-\(map.metadata.name)"
    case nil: "none"
    }
}

@Suite("Store")
struct StoreTests {
    private let store = Store<Core.ConfigMap>()

    @Test("putting and removing tell what changed")
    func changes() {
        #expect(describe(store.put(map("a", "1"))) == "+a")
        #expect(describe(store.put(map("a", "1"))) == "none")
        #expect(describe(store.put(map("a", "2"))) == "a:1>2")
        #expect(store.resourceVersion == "2")
        #expect(describe(store.remove(map("a", "3"))) == "-a")
        #expect(describe(store.remove(map("a", "4"))) == "none")
        #expect(store.resourceVersion == "4" && !store.hasSynced)
    }

    @Test("a list replaces everything at once and tells of what is gone")
    func replacing() {
        for (name, version) in [("a", "1"), ("b", "2"), ("c", "3")] {
            _ = store.put(map(name, version))
        }
        let changes = store.replace(
            with: [map("b", "2"), map("c", "5"), map("d", "6", namespace: "m")],
            undecodable: [],
            resourceVersion: "7"
        )
        #expect(changes.map(describe) == ["-a", "c:3>5", "+d"])
        #expect(store.hasSynced && store.resourceVersion == "7")
        #expect(store.list().map(\.metadata.name) == ["d", "b", "c"])
        #expect(store.list(in: "n").map(\.metadata.name) == ["b", "c"])
        #expect(store.list(in: "m").count == 1 && store.list(in: "x").isEmpty)
    }

    @Test("K1: an index follows every way in which objects come, change and go")
    func indexes() {
        let store = Store<Core.ConfigMap>(
            indexes: [
                StoreIndex("owner") { $0.metadata.labels["owner"].map { [$0] } ?? [] }
            ]
        )
        func owned(_ name: String, _ version: String, by owner: String?) -> Core.ConfigMap {
            var made = map(name, version)
            made.metadata.uid = "uid-\(name)"
            made.metadata.labels["owner"] = owner
            return made
        }
        func names(_ owner: String) -> [String] {
            store.list("owner", owner).map(\.metadata.name)
        }
        for index in (0..<1_000).reversed() {
            _ = store.put(owned("m\(index)", "1", by: "o\(index / 2)"))
        }
        #expect(names("o7") == ["m14", "m15"] && names("o500").isEmpty)
        _ = store.put(owned("m14", "2", by: "o8"))
        _ = store.put(owned("m17", "2", by: nil))
        #expect(names("o7") == ["m15"] && names("o8") == ["m14", "m16"])
        _ = store.remove(owned("m15", "3", by: "o99"))
        #expect(names("o7").isEmpty && names("o99") == ["m198", "m199"])
        #expect(store.holds(uid: "uid-m16") && !store.holds(uid: "uid-m15"))
        let bad = Undecodable(metadata: owned("m16", "4", by: "o9").metadata, problem: "no")
        _ = store.replace(
            with: [owned("m0", "4", by: "o8")],
            undecodable: [bad],
            resourceVersion: "4"
        )
        // What does not decode is found by what it was last understood to be.
        #expect(names("o8") == ["m0", "m16"] && names("o0").isEmpty && store.count == 2)
        #expect(store.list(in: "n").count == 2 && !store.holds(uid: "uid-m1"))
        #expect(store.remove(bad.key) != nil && names("o8") == ["m0"])
    }

    @Test("an object that no longer decodes stays as it was last understood")
    func keeping() {
        _ = store.put(map("a", "1"))
        let key = ObjectKey(namespace: "n", name: "a")
        let bad = Undecodable(metadata: map("a", "2").metadata, problem: "no")
        #expect(store.replace(with: [], undecodable: [bad], resourceVersion: "2").isEmpty)
        #expect(store.get(key)?.metadata.resourceVersion == "1")
        #expect(store.list(in: "n").count == 1)
        #expect(store.undecodable(key) == bad && store.undecodable(in: "n") == [bad])
        #expect(describe(store.put(map("a", "3"))) == "a:1>3")
        #expect(store.undecodable(key) == nil)
    }

    @Test("an object that never decoded is known all the same, until it is gone")
    func undecodable() {
        var metadata = map("a", "1").metadata
        metadata.uid = "u"
        let bad = Undecodable(metadata: metadata, problem: "no")
        store.put(undecodable: bad)
        #expect(store.get(bad.key) == nil && store.undecodable(in: "n") == [bad])
        #expect(store.holds(uid: "u") && !store.holds(uid: "v"))
        #expect(store.remove(bad.key) == nil && store.undecodable(bad.key) == nil)
    }

    @Test(
        "resource versions are compared by length, then digits",
        arguments: [
            ("9", "10", true), ("10", "9", false), ("10", "10", false), ("99", "100", true),
            ("18446744073709551615", "18446744073709551616", true),
        ]
    )
    func versions(left: String, right: String, isOlder: Bool) {
        #expect(ResourceVersion.isOlder(left, than: right) == isOlder)
    }

    @Test("what is no number cannot be compared")
    func incomparable() {
        for version in ["", "0", "01", "x", "1x", String(repeating: "1", count: 40)] {
            #expect(ResourceVersion.isOlder(version, than: "5") == nil)
        }
    }
}

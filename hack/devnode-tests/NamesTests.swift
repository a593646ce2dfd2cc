import KubernetesAPI
import Testing

@testable import DevnodeCore

@Suite("Cluster names")
struct NamesTests {
    private static func query(
        _ name: String,
        type: UInt16 = DNSQuery.a,
        edns: UInt16? = nil
    ) -> [UInt8] {
        var bytes: [UInt8] = [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, edns == nil ? 0 : 1]
        for label in name.split(separator: ".") {
            bytes.append(UInt8(label.utf8.count))
            bytes += Array(label.utf8)
        }
        bytes += [0, UInt8(type >> 8), UInt8(type & 0xFF), 0, 1]
        if let edns { bytes += [0, 0, 41, UInt8(edns >> 8), UInt8(edns & 0xFF), 0, 0, 0, 0, 0, 0] }
        return bytes
    }

    private static let zone = DNSZone(
        namespaces: ["shop"],
        services: [
            Core.Service {
                $0.metadata = ObjectMeta(name: "web", namespace: "shop")
                $0.spec.clusterIP = "10.96.3.4"
            },
            Core.Service {
                $0.metadata = ObjectMeta(name: "peers", namespace: "shop")
                $0.spec.clusterIP = "None"
            },
        ],
        slices: [
            Discovery.EndpointSlice {
                $0.metadata = ObjectMeta(
                    name: "peers-1",
                    namespace: "shop",
                    labels: [Discovery.EndpointSlice.serviceNameLabel: "peers"]
                )
                $0.endpoints = [
                    Discovery.Endpoint { $0.addresses = ["10.244.0.9"] },
                    Discovery.Endpoint {
                        $0.addresses = ["10.244.0.8"]
                        $0.conditions.ready = true
                    },
                    Discovery.Endpoint {
                        $0.addresses = ["10.244.0.7"]
                        $0.conditions.ready = false
                    },
                ]
            }
        ]
    )

    @Test(
        "a name has the addresses of its Service",
        arguments: [
            ("web.shop.svc.cluster.local", DNSQuery.a, DNSAnswer.exists([[10, 96, 3, 4]])),
            ("web.shop.svc", DNSQuery.a, .exists([[10, 96, 3, 4]])),
            ("web.shop.svc", DNSQuery.aaaa, .exists()),
            ("peers.shop.svc", DNSQuery.a, .exists([[10, 244, 0, 8], [10, 244, 0, 9]])),
            ("shop.svc.cluster.local", DNSQuery.a, .exists()),
            ("cluster.local", DNSQuery.a, .exists()),
            ("other.shop.svc", DNSQuery.a, .unknown),
            ("web.other.svc", DNSQuery.aaaa, .unknown),
            ("web.shop.svc.shop.svc.cluster.local", DNSQuery.a, .unknown),
            ("example.com", DNSQuery.a, .unknown),
        ]
    )
    func answers(name: String, type: UInt16, expected: DNSAnswer) {
        #expect(Self.zone.answer(name: name, type: type) == expected)
    }

    @Test("a Service of both families has records of both types, a pod of two slices too")
    func families() {
        func slice(_ family: String, _ address: String) -> Discovery.EndpointSlice {
            Discovery.EndpointSlice {
                $0.metadata = ObjectMeta(
                    name: family,
                    namespace: "shop",
                    labels: [Discovery.EndpointSlice.serviceNameLabel: "peers"]
                )
                $0.addressType = family
                $0.endpoints = [Discovery.Endpoint { $0.addresses = [address] }]
            }
        }
        let zone = DNSZone(
            namespaces: ["shop"],
            services: [
                Core.Service {
                    $0.metadata = ObjectMeta(name: "web", namespace: "shop")
                    $0.spec.clusterIP = "10.96.3.4"
                    $0.spec.clusterIPs = ["10.96.3.4", "fd00:10:96::3:4"]
                },
                Core.Service {
                    $0.metadata = ObjectMeta(name: "peers", namespace: "shop")
                    $0.spec.clusterIP = "None"
                },
            ],
            slices: [slice("IPv4", "10.244.0.9"), slice("IPv6", "fd00:10:244::9")]
        )
        let web: [UInt8] = [0xFD, 0, 0, 0x10, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4]
        let peer: [UInt8] = [0xFD, 0, 0, 0x10, 2, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]
        #expect(zone.answer(name: "web.shop.svc", type: DNSQuery.a) == .exists([[10, 96, 3, 4]]))
        #expect(zone.answer(name: "web.shop.svc", type: DNSQuery.aaaa) == .exists([web]))
        #expect(zone.answer(name: "peers.shop.svc", type: DNSQuery.aaaa) == .exists([peer]))
        let query = DNSQuery(Self.query("web.shop.svc", type: DNSQuery.aaaa))
        let response = query?.response(.exists([web]), timeToLive: 5, limit: 512)
        #expect(response?.suffix(28) == [0xC0, 12, 0, 28, 0, 1, 0, 0, 0, 5, 0, 16] + web)
    }

    @Test("a query is read whatever its letter case, and its question comes back as it was")
    func roundTrip() throws {
        let bytes = Self.query("Web.Shop.SVC", edns: 1232)
        let query = try #require(DNSQuery(bytes))
        #expect(query.name == "web.shop.svc")
        #expect(query.payloadSize == 1232)
        let answer = Self.zone.answer(name: query.name, type: query.type)
        let response = query.response(answer, timeToLive: 5, limit: query.payloadSize)
        #expect(Array(response[0..<12]) == [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 1])
        #expect(Array(response[12..<30]) == Array(bytes[12..<30]))
        #expect(Array(response[30..<46]) == [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 96, 3, 4])
    }

    @Test("an unknown name gives NXDOMAIN, and an empty answer says no error")
    func codes() throws {
        let query = try #require(DNSQuery(Self.query("nobody.shop.svc")))
        #expect(query.response(.unknown, timeToLive: 5, limit: 512)[3] & 0x0F == 3)
        #expect(query.response(.exists(), timeToLive: 5, limit: 512)[3] & 0x0F == 0)
    }

    @Test("an answer that does not fit is cut and marked")
    func truncation() throws {
        let query = try #require(DNSQuery(Self.query("peers.shop.svc")))
        let answer = DNSAnswer.exists((0..<100).map { [10, 0, 0, UInt8($0)] })
        let short = query.response(answer, timeToLive: 5, limit: 512)
        #expect(short.count <= 512)
        #expect(short[2] & 0x02 == 0x02)
        let whole = query.response(answer, timeToLive: 5, limit: 65_535)
        #expect(whole[2] & 0x02 == 0)
        #expect(whole.count > 1600)
    }

    @Test("bytes that are no query are refused, however they are cut")
    func malformed() {
        let bytes = Self.query("web.shop.svc", edns: 1232)
        for count in 0..<bytes.count { #expect(DNSQuery(Array(bytes[..<count])) == nil) }
        var response = bytes
        response[2] |= 0x80
        #expect(DNSQuery(response) == nil)
    }
}

import NetworkModel
import TestSupport
import Testing
import Wire

@testable import Streaming

/// What a label stands for.
private final class Thing {}

@Suite("Stream tables")
struct TableTests {
    @Test("a replay window accepts each number once and nothing old, like a set would")
    func replay() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var window = ReplayWindow()
        var seen: Set<UInt64> = []
        var highest: UInt64 = 0
        for _ in 0..<5_000 {
            let reach: UInt64 = random.chance(1) ? 200_000 : 2_000
            let low =
                highest > 70_000 && random.chance(5) ? highest - 70_000 : max(highest, 1_000) - 999
            let number = UInt64.random(in: max(low, 1)...highest + reach, using: &random)
            let isOld = highest >= ReplayWindow.size && number <= highest - ReplayWindow.size
            #expect(window.accept(number) == (!isOld && !seen.contains(number)), "seed \(seed)")
            seen.insert(number)
            highest = max(highest, number)
        }
    }

    private let site = SiteID(publicKeyDigest: Array(repeating: 1, count: 32))

    @Test("one ingress's numbers are not another's, and each is good once")
    func replayGuard() {
        let signer = ProxyID(site: site, instance: 1)
        var guardian = ReplayGuard()
        for instance in 1...10 {
            let ingress = ProxyID(site: site, instance: UInt64(instance))
            #expect(guardian.accept(1, of: ingress, signer: signer) { _ in true })
            #expect(!guardian.accept(1, of: ingress, signer: signer) { _ in true })
        }
    }

    @Test("sidecars that restart for ever are never refused, and cost nobody else a window")
    func replayGuardIsBounded() {
        var guardian = ReplayGuard(limits: .init(total: 64))
        let (busy, calm) = (ProxyID(site: site, instance: 1), ProxyID(site: site, instance: 2))
        let gone = ProxyID(site: site, instance: 3)
        #expect(guardian.accept(7, of: calm, signer: calm) { _ in true })
        for instance in 0..<40 {
            let ingress = ProxyID(site: site, instance: 100 + UInt64(instance))
            #expect(guardian.accept(1, of: ingress, signer: gone) { _ in true })
        }
        for instance in 0..<1_000 {
            let ingress = ProxyID(site: site, instance: 1_000 + UInt64(instance))
            #expect(guardian.accept(1, of: ingress, signer: busy) { $0 != gone })
            #expect(!guardian.accept(1, of: ingress, signer: busy) { $0 != gone })
            #expect(guardian.count <= 64)
        }
        #expect(!guardian.accept(7, of: calm, signer: calm) { _ in true })
    }

    @Test("D8: one signer, and one site with many, has a bounded share of the windows")
    func replaySharesAreBounded() {
        var guardian = ReplayGuard(limits: .init(total: 1_000, site: 40, signer: 16))
        let other = SiteID(publicKeyDigest: Array(repeating: 7, count: 32))
        let honest = ProxyID(site: other, instance: 1)
        #expect(guardian.accept(3, of: honest, signer: honest) { _ in true })
        let busy = ProxyID(site: site, instance: 1)
        for instance in 0..<1_000 {
            let ingress = ProxyID(site: site, instance: 1_000 + UInt64(instance))
            #expect(guardian.accept(1, of: ingress, signer: busy) { _ in true })
        }
        #expect(guardian.count <= 17)
        for signer in 0..<100 {
            for instance in 0..<16 {
                let ingress = ProxyID(site: site, instance: UInt64(5_000 + instance))
                let signer = ProxyID(site: site, instance: UInt64(100 + signer))
                #expect(guardian.accept(1, of: ingress, signer: signer) { _ in true })
            }
        }
        #expect(guardian.count <= 41)
        #expect(!guardian.accept(3, of: honest, signer: honest) { _ in true })
    }

    @Test("a label that was given back is not found again, and its successor differs")
    func labels() throws {
        var table = LabelTable<Thing>()
        let (first, second) = (Thing(), Thing())
        let labelGiven = table.open(first)
        let label = try #require(labelGiven)
        #expect(table.find(label | StreamLabel.answerBit) === first)
        #expect(table.find(label) == nil)
        table.remove(first, label: label)
        #expect(table.find(label | StreamLabel.answerBit) == nil)
        let nextGiven = table.open(second)
        let next = try #require(nextGiven)
        #expect(next != label)
        #expect(table.find(label | StreamLabel.answerBit) == nil)
        #expect(table.count == 1)
    }

    @Test("the places of the other side may be anywhere, and are found, replaced and left")
    func farPlaces() throws {
        var table = LabelTable<Thing>()
        let places: [UInt32] = [0, 63, 64, 4_000, UInt32(StreamLabel.limit) - 1]
        let things = places.map { _ in Thing() }
        for (place, thing) in zip(places, things) {
            let label = StreamLabel.label(place, generation: 3)
            let taken = table.accept(label, thing)
            #expect(taken?.label == label | StreamLabel.answerBit && taken?.replaced == nil)
        }
        for (place, thing) in zip(places, things) {
            #expect(table.find(StreamLabel.label(place, generation: 3)) === thing)
            #expect(table.find(StreamLabel.label(place, generation: 2)) == nil)
        }
        for place in [1, 65, 9_000] as [UInt32] {
            #expect(table.find(StreamLabel.label(place, generation: 0)) == nil)
        }
        #expect(table.all.count == places.count)
        let (later, label) = (Thing(), StreamLabel.label(64, generation: 4))
        let again = table.accept(label, later)
        #expect(again?.replaced === things[2] && table.count == places.count)
        table.remove(later, label: label | StreamLabel.answerBit)
        #expect(table.find(label) == nil && table.count == places.count - 1)
    }

    @Test("both sides may choose the same label without meeting")
    func bothSides() throws {
        var table = LabelTable<Thing>()
        let (own, theirs) = (Thing(), Thing())
        let labelGiven = table.open(own)
        let label = try #require(labelGiven)
        let answerGiven = table.accept(label, theirs)
        let answer = try #require(answerGiven)
        #expect(table.find(label | StreamLabel.answerBit) === own)
        #expect(table.find(label) === theirs)
        #expect(answer.label == label | StreamLabel.answerBit)
        #expect(table.accept(answer.label, theirs) == nil)
        table.remove(theirs, label: answer.label)
        #expect(table.find(label) == nil)
        #expect(table.removeAll().count == 1)
        #expect(table.count == 0)
    }
}

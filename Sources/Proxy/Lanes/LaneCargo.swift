import NetworkModel
import ProxyContract
import Synchronization
import TLS
import Wire

/// What is left of a lane between two loops.
///
/// Sendable: noncopyable, and made of the only references to what it holds; the lane that it came from has let go of
/// all of it.
struct LaneCargo: ~Copyable, @unchecked Sendable {
    let side: Lane.Side
    let remote: Endpoint
    let health: HealthParameters
    let neighbor: NeighborIdentity?
    let liveness: LaneLiveness
    let pace: DeliveryPace
    let unsentLimit: Int32
    let partial: [UInt8]
    let unsent: Ciphertext
    var control: FrameBuffer?
    var socket: FileDescriptor?
    var session: TLSSession?
}

/// Carries a cargo through a mailbox, whose letters can be run only once but could be copied.
private final class CargoBox: Sendable {
    private let cargo: Mutex<LaneCargo?>

    init(_ cargo: consuming LaneCargo) { self.cargo = Mutex(consume cargo) }

    func take() -> LaneCargo? {
        cargo.withLock { cargo in
            var taken: LaneCargo?
            swap(&taken, &cargo)
            return taken
        }
    }
}

extension Lane {
    /// Moves an established lane to another loop; nothing more is delivered here, not even `laneClosed`.
    ///
    /// `adopt` gets the lane at its new loop and must set its `delegate` before it returns. Frames that follow
    /// the one being delivered are delivered there. Not to be called from `laneProduceData`.
    func handOver(
        to mailbox: Mailbox,
        adopt: @escaping @Sendable (Lane, EventLoop) -> Void
    ) {
        guard isEstablished, handover == nil else { return }
        handover = (mailbox, adopt)
        if !isDelivering { leave() }
    }

    /// Packs everything up and posts it.
    func leave() {
        guard let (mailbox, adopt) = handover else { return }
        let moved = Ciphertext()
        unsafe unsent.withBytes { unsafe moved.append($0) }
        var queue = FrameBuffer()
        swap(&queue, &control)
        // Deregistered before the socket is given away.
        if let registration { loop.deregister(registration) }
        registration = nil
        let cargo = LaneCargo(
            side: side,
            remote: remote,
            health: health,
            neighbor: neighbor,
            liveness: liveness,
            pace: pace,
            unsentLimit: unsentLimit,
            partial: partial,
            unsent: moved,
            control: queue,
            socket: socket.take(),
            session: session.take()
        )
        let box = CargoBox(cargo)
        mailbox.post { loop in
            guard let cargo = box.take() else { return }
            let lane = Lane(adopting: cargo, on: loop)
            adopt(lane, loop)
            lane.arrive()
        }
        state = .ended
        delegate = nil
        release()
    }

    /// Registers with the new loop and goes on.
    private func arrive() {
        do throws(SystemError) {
            guard let number = socket?.number else { return }
            let registration = try loop.register(self, descriptor: number, on: account)
            self.registration = registration
            resumeLiveness()
            if wantsData || !partial.isEmpty || !control.isEmpty { loop.resume(registration) }
        } catch {
            endLater(.connection(error))
        }
    }
}

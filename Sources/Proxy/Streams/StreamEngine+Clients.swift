import NetworkModel
import Streaming

// What the engine is handed by listeners. Apart, so that the engine does not name what it carries.

extension StreamEngine {
    /// A client was accepted.
    func accepted(_ socket: consuming FileDescriptor, service: ServicePort, client: Endpoint) {
        // Without an entry the socket closes with a RST; so it does below.
        guard let entry = view.services[service] else { return }
        guard takesStreams, !comesBack(client, at: socket.localEndpoint),
            entry.shared.admit(DescriptorBudget.room)
        else {
            return entry.shared.count(.refused)
        }
        let connection = IngressConnection(socket, client: client, entry: entry, engine: self)
        add(connection)
        connection.start()
    }
}

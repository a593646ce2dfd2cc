import FoundationEssentials
import KubernetesAPI
import KubernetesClient

extension JSONValue {
    /// The value of something encodable.
    init(encoding value: some Encodable) throws {
        self = try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(value))
    }
}

extension KubernetesClient {
    /// Posts a document to a path, for the few kinds that are only ever posted.
    func post(_ document: JSONValue, to path: String) async throws(APIError) {
        var request = Request(method: .post, path: path)
        request.contentType = "application/json"
        do {
            request.body = try JSONEncoder().encode(document)
        } catch {
            throw .request("the document does not encode: \(error)")
        }
        _ = try await send(request)
    }
}

import Files
import Testing

@testable import CLIPServer

@Suite struct OpenAPITests {
    private static let methods = ["get", "post", "put", "patch", "delete", "head", "options"]

    private let description: JSONValue

    init() throws {
        // With a key, as the file has it; a parser of the strict kind.
        var options = ServerOptions()
        options.apiKey = "key"
        description = try OpenAPIDescription(options).value()
    }

    /// The operations by method and path, with `*` for the parameters at the end of a path.
    private var operations: [String: JSONValue] {
        var found: [String: JSONValue] = [:]
        for (path, item) in description["paths"]?.members ?? [] {
            let pattern = path.contains("{") ? path.prefix { $0 != "{" } + "*" : path[...]
            for (method, operation) in item.members ?? [] where Self.methods.contains(method) {
                found["\(method.uppercased()) \(pattern)"] = operation
            }
        }
        return found
    }

    /// All objects of the description.
    private func objects(in value: JSONValue) -> [JSONValue] {
        switch value {
        case .array(let values): values.flatMap(objects)
        case .object(let members): [value] + members.flatMap { objects(in: $0.value) }
        default: []
        }
    }

    @Test func eachEndpointHasAnOperationAndTheReverse() {
        let endpoints = Set(Endpoints.all.map { "\($0.method) \($0.path)" })
        let described = Set(operations.keys)
        #expect(endpoints.subtracting(described).sorted() == [], "not described")
        #expect(described.subtracting(endpoints).sorted() == [], "described and missing")
    }

    @Test func openEndpointsNeedNoKeyInTheDescription() {
        for endpoint in Endpoints.all {
            let name = "\(endpoint.method) \(endpoint.path)"
            let security = operations[name]?["security"]
            #expect((security == .array([])) == endpoint.isOpen, "\(name)")
            #expect(
                (operations[name]?["responses"]?["401"] == nil) == endpoint.isOpen, "\(name)")
        }
    }

    @Test func errorsHaveTheShapeOfTheEndpoint() {
        for endpoint in Endpoints.all {
            let component =
                switch endpoint.errors {
                case .openAI: "Error"
                case .fastAPI: "DetailError"
                case .weaviate: "WeaviateError"
                case .textEmbeddings: "TextEmbeddingsError"
                }
            let responses = operations["\(endpoint.method) \(endpoint.path)"]?["responses"]
            for (status, response) in responses?.members ?? [] where (Int(status) ?? 0) >= 400 {
                let suffix = ["401": "Unauthorized", "429": "Busy"][status] ?? ""
                #expect(
                    response["$ref"]?.string == "#/components/responses/\(component)\(suffix)",
                    "\(endpoint.method) \(endpoint.path) \(status)")
            }
        }
    }

    @Test func referencesResolve() {
        for object in objects(in: description) {
            guard let reference = object["$ref"]?.string else { continue }
            var found: JSONValue? = description
            for name in reference.split(separator: "/").dropFirst() {
                found = found?[String(name)]
            }
            #expect(reference.hasPrefix("#/") && found != nil, "\(reference)")
        }
    }

    @Test func operationsHaveDistinctIdentifiersAndASummary() {
        let ids = operations.values.compactMap { $0["operationId"]?.string }
        #expect(ids.count == operations.count && Set(ids).count == ids.count, "\(ids.sorted())")
        for (name, operation) in operations {
            #expect(operation["summary"]?.string?.isEmpty == false, "\(name)")
            #expect(operation["responses"]?.members?.isEmpty == false, "\(name)")
        }
    }

    @Test func everyTagIsDescribed() {
        let known = (description["tags"]?.array ?? []).compactMap { $0["name"]?.string }
        for (name, operation) in operations {
            let tags = (operation["tags"]?.array ?? []).compactMap(\.string)
            #expect(!tags.isEmpty && tags.allSatisfy(known.contains), "\(name): \(tags)")
        }
    }

    @Test func pathParametersAreDeclared() {
        for (path, item) in description["paths"]?.members ?? [] {
            let names = path.split(separator: "/").filter { $0.hasPrefix("{") }
                .map { String($0.dropFirst().dropLast()) }
            for (method, operation) in item.members ?? [] {
                let declared = (operation["parameters"]?.array ?? [])
                    .filter { $0["in"]?.string == "path" }.compactMap { $0["name"]?.string }
                #expect(declared.sorted() == names.sorted(), "\(method) \(path)")
            }
        }
    }

    @Test func limitsAndBasePathAreThoseOfTheServer() throws {
        var options = ServerOptions()
        (options.textsPerRequest, options.imagesPerRequest) = (7, 5)
        options.basePath = "/clip"
        let description = try OpenAPIDescription(options).value()
        let schema = description["paths"]?["/vectorize"]?["post"]?["requestBody"]?["content"]?[
            "application/json"]?["schema"]?["properties"]
        #expect(schema?["texts"]?["maxItems"] == .integer(7))
        #expect(schema?["images"]?["maxItems"] == .integer(5))
        #expect(schema?["texts"]?["x-limit"] == nil)
        #expect(description["servers"] == .array([.object(["url": .string("/clip")])]))
        #expect(description["security"] == .array([]))
    }

    @Test func examplesNameAModelOfTheServer() throws {
        var options = ServerOptions()
        options.models = ["/srv/models/ViT-L-14"]
        let text = "\(try OpenAPIDescription(options, model: "ViT-L/14").value())"
        #expect(!text.contains("/srv/models"))
        #expect(!text.contains("\"MODEL\"") && text.contains("\"model\": \"ViT-L/14\""))
    }

    @Test func healthHasTheTimeForInfinitysClients() throws {
        let response = OperationEndpoints.health(1_777_896_000.25)
        let body = try JSONValue(parsing: response.body)
        #expect(response.status == 200)
        #expect(body == .object(["status": .string("ok"), "unix": .number(1_777_896_000.25)]))
    }
}

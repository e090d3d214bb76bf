/// The endpoints of the server.
enum Endpoints {
    static let all: [Endpoint] =
        ImmichEndpoints.all + OpenAIEndpoints.all + WeaviateEndpoints.all
        + TextEmbeddingsEndpoints.all + SearchEndpoints.all + ImageEndpoints.all
        + ZeroShotEndpoints.all + OperationEndpoints.all + PageEndpoints.all
}

/// The parts of the server that endpoints use.
struct Services: Sendable {
    let options: ServerOptions
    let models: ModelPool
    let indexes: IndexPool
    let metrics: Metrics
}

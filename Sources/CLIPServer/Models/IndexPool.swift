/// The indexes of a server, which are opened again when an update has changed them.
final class IndexPool: Sendable {
}

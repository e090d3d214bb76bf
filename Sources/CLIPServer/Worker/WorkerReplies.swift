internal import CLIP

/// The replies of a worker, which the calling thread writes in the order of the requests.
///
/// Consecutive texts are encoded together, as many as are ready, and replies are buffered as long
/// as more are ready. Nothing waits for requests that have not come yet.
struct WorkerReplies {
    typealias Stream = EncodingStream<WorkerRequest, EncodingWorker.Decoded>
    typealias Encoded = EncodedInput<WorkerRequest, EncodingWorker.Decoded>

    /// The number of buffered bytes from which they are written.
    private static let bufferSize = 1 << 16

    private let worker: EncodingWorker
    private let stream: Stream
    private let write: ([UInt8]) throws(WorkerError) -> Void
    private let dimension: Int
    private var texts: [(id: UInt64, tokens: [Int])] = []
    private var buffer: [UInt8] = []

    init(
        _ worker: EncodingWorker, _ stream: Stream,
        _ write: @escaping ([UInt8]) throws(WorkerError) -> Void
    ) {
        (self.worker, self.stream, self.write) = (worker, stream, write)
        dimension = worker.model.configuration.embeddingDimension
    }

    /// Writes the replies to all requests of the stream.
    mutating func run() throws {
        var next = stream.next()
        while let encoded = next {
            if case .tokens(let tokens) = encoded.learned {
                texts.append((encoded.input.id, tokens))
            } else {
                try encodeTexts()
                try reply(to: encoded)
            }
            if texts.count >= EncodingWorker.largestTextBatch { try encodeTexts() }
            next = stream.nextIfReady()
            guard next == nil else { continue }
            try encodeTexts()
            try flush()
            next = stream.next()
        }
    }

    private mutating func reply(to encoded: Encoded) throws {
        if case .refused(let reason) = encoded.learned {
            return try append(message(reason, for: encoded.input.id))
        }
        switch encoded.embedding {
        case .success(let vector):
            let row = finished(Embeddings(rows: vector, dimension: dimension))
            try append(WorkerProtocol.reply(id: encoded.input.id, vector: row.values))
        case .failure(let error) where error.isOfWeights: throw error
        case .failure(let error):
            try append(message(worker.describe(error), for: encoded.input.id))
        }
    }

    private func message(_ reason: String, for id: UInt64) -> [UInt8] {
        WorkerProtocol.reply(id: id, message: reason, dimension: dimension)
    }

    /// Encodes the texts that wait, and appends their replies.
    private mutating func encodeTexts() throws {
        guard !texts.isEmpty else { return }
        let vectors = finished(try worker.model.encode(tokens: texts.map(\.tokens)))
        for (row, text) in texts.enumerated() {
            try append(WorkerProtocol.reply(id: text.id, vector: vectors[row]))
        }
        texts.removeAll(keepingCapacity: true)
    }

    private func finished(_ vectors: Embeddings) -> Embeddings {
        worker.isNormalized ? vectors.normalized() : vectors
    }

    private mutating func append(_ reply: [UInt8]) throws(WorkerError) {
        buffer += reply
        if buffer.count >= Self.bufferSize { try flush() }
    }

    private mutating func flush() throws(WorkerError) {
        guard !buffer.isEmpty else { return }
        try write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }
}

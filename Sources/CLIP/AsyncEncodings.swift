internal import Tensors

extension CLIPModel {
    /// Returns the embeddings of any number of images as an asynchronous sequence, in the order of
    /// the inputs.
    ///
    /// Threads of the model read, decode and encode inputs ahead of the task, which suspends until
    /// the next embedding is ready. A bounded number of inputs is in memory: if the task is slow,
    /// the threads wait for it and read no more inputs. While no input is available, the stream
    /// leaves its encoding threads to other streams. The embeddings equal those of
    /// `encode(images:)` to the bit, unless the engine is `fastBLAS`.
    ///
    /// Leaving the loop or cancelling the task stops each encoding thread at the end of its current
    /// batch, and the reading thread as soon as `inputs` returns an element. A cancelled task does
    /// not wait for the threads to stop; it throws `CancellationError`. A program should not call
    /// `exit` right after that, because a matrix product of the engine `blas` may still be running.
    ///
    /// ```swift
    /// for try await encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
    ///     try RGBImage(contentsOfFile: path)
    /// }) {
    ///     print(encoded.input, try encoded.embedding.get().count)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - inputs: The inputs, such as paths. A separate thread reads them and may block.
    ///   - decode: A function that returns the image of an input. Several threads call it at once.
    /// - Returns: An asynchronous sequence of inputs with their embeddings.
    @_disfavoredOverload  // `for … in` and `let encodings = …` take the synchronous form.
    public func encodings<Inputs: Sequence & Sendable>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) throws(CLIPError) -> RGBImage
    ) -> AsyncEncodings<Inputs.Element, Void> where Inputs.Element: Sendable {
        encodings(of: inputs, decode: Self.learningNothing(decode))
    }

    /// Returns the embeddings of images together with a value that `decode` returns for each.
    @_disfavoredOverload
    public func encodings<Inputs: Sequence & Sendable, Learned: Sendable>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) -> DecodedInput<Learned>
    ) -> AsyncEncodings<Inputs.Element, Learned> where Inputs.Element: Sendable {
        AsyncEncodings(model: self, decode: decode) {
            InputSource { push in
                for input in inputs { guard push(input) else { break } }
                return nil
            } cancel: {
            }
        }
    }

    /// Returns the embeddings of an asynchronous sequence of images, in the order of the inputs.
    ///
    /// An error of `inputs` is thrown after the embeddings of all inputs that precede it.
    public func encodings<Inputs: AsyncSequence & Sendable>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) throws(CLIPError) -> RGBImage
    ) -> AsyncEncodings<Inputs.Element, Void> where Inputs.Element: Sendable {
        encodings(of: inputs, decode: Self.learningNothing(decode))
    }

    /// Returns the embeddings of an asynchronous sequence of images together with a value that
    /// `decode` returns for each.
    public func encodings<Inputs: AsyncSequence & Sendable, Learned: Sendable>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) -> DecodedInput<Learned>
    ) -> AsyncEncodings<Inputs.Element, Learned> where Inputs.Element: Sendable {
        AsyncEncodings(model: self, decode: decode) {
            let queue = BoundedQueue<Inputs.Element>(capacity: 16)
            let task = Task {
                do {
                    for try await input in inputs {
                        guard await queue.put(input) else { return }
                    }
                    queue.finish()
                } catch {
                    queue.finish(throwing: error)
                }
            }
            return InputSource { push in
                while let input = queue.take(), push(input) {}
                return queue.failure
            } cancel: {
                queue.close()
                task.cancel()
            }
        }
    }
}

/// An asynchronous sequence of embeddings of images, computed ahead of the task that consumes it.
///
/// ```swift
/// for try await encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
///     try RGBImage(contentsOfFile: path)
/// }) {
///     print(encoded.input, try encoded.embedding.get().count)
/// }
/// ```
///
/// `CLIPModel.encodings(of:decode:)` makes it and describes its behaviour.
public struct AsyncEncodings<Input: Sendable, Learned: Sendable>: AsyncSequence, Sendable {
    /// An input with its embedding.
    public typealias Element = EncodedInput<Input, Learned>
    /// A `CancellationError`, an error that asynchronous inputs throw, or `CLIPError.noThread`.
    public typealias Failure = any Error

    let model: CLIPModel
    let decode: @Sendable (Input) -> DecodedInput<Learned>
    let makeSource: @Sendable () -> InputSource<Input>

    /// Makes an iterator, which begins to encode at the first call of `next`.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(encodings: self) }

    /// An iterator over the embeddings, in the order of the inputs.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let encodings: AsyncEncodings
        private var job: EncodingJob<Input, Learned>?
        private var isOver = false

        fileprivate init(encodings: AsyncEncodings) { self.encodings = encodings }

        /// Returns the next input with its embedding, or nil after the last one.
        ///
        /// - Throws: `CancellationError` if the task is cancelled, an error that asynchronous
        ///   inputs throw, and `CLIPError.noThread`. Calls after an error return nil.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> Element? {
            guard !isOver else { return nil }
            do {
                try Task.checkCancellation()
                let job = try self.job ?? EncodingJob(encodings)
                self.job = job
                let element = try await withTaskCancellationHandler {
                    try await job.results.take()
                } onCancel: {
                    job.cancel()
                }
                if let element { return element }
                (isOver, self.job) = (true, nil)
                return nil
            } catch {
                (isOver, self.job) = (true, nil)
                throw error
            }
        }
    }
}

/// The inputs of an asynchronous stream.
struct InputSource<Input: Sendable>: Sendable {
    /// Passes each input to `push` until `push` returns false; returns the error that the inputs
    /// threw, if any.
    ///
    /// It is called once, on a thread that it may block.
    let read: @Sendable (_ push: (Input) -> Bool) -> (any Error)?
    /// Interrupts a wait for the next input, if that is possible.
    let cancel: @Sendable () -> Void
}

/// The two threads that serve an asynchronous stream: one reads the inputs, the other collects the
/// results of the encoding threads.
///
/// The threads do not retain the job: they end when the iterator that owns it is deallocated.
private final class EncodingJob<Input: Sendable, Learned: Sendable>: Sendable {
    let results = BoundedQueue<EncodedInput<Input, Learned>>(capacity: 64)
    private let source: InputSource<Input>
    private let feeder: EncodingStream<Input, Learned>.Feeder

    init(_ encodings: AsyncEncodings<Input, Learned>) throws(CLIPError) {
        source = encodings.makeSource()
        feeder = .init(encodings.model, encodings.decode)
        let failure = Monitor<(any Error)?>(nil)
        let (source, feeder, results) = (source, feeder, results)
        let isReading = startThread {
            let error = source.read(feeder.push)
            failure.withLock { $0 = error }
            feeder.finish()
        }
        let isCollecting =
            isReading
            && startThread {
                let stream = EncodingStream(feeder)
                while let result = stream.next(), results.put(result) {}
                results.finish(throwing: failure.withLock { $0 })
            }
        guard isCollecting else {
            cancel()
            throw .noThread
        }
    }

    deinit { cancel() }

    func cancel() {
        results.close()
        feeder.cancel()
        source.cancel()
    }
}

/// The decoded image of an input, or the error, together with a value of the caller's choice.
///
/// ```swift
/// let encodings = model.encodings(of: paths) { path in
///     let image = Result { () throws(CLIPError) in try RGBImage(contentsOfFile: path) }
///     let width = (try? image.get())?.width ?? 0
///     return DecodedInput(image, learned: width)
/// }
/// for encoded in encodings { print(encoded.input, encoded.learned) }
/// ```
public struct DecodedInput<Learned: Sendable>: Sendable {
    /// The image, or the error of decoding it.
    public var image: Result<RGBImage, CLIPError>
    /// A value of the caller's choice, such as a digest of the file, which is returned with the
    /// embedding.
    public var learned: Learned

    /// Makes the result of decoding an input.
    ///
    /// - Parameters:
    ///   - image: The image, or the error of decoding it.
    ///   - learned: A value of the caller's choice, which is returned with the embedding.
    public init(_ image: Result<RGBImage, CLIPError>, learned: Learned) {
        self.image = image
        self.learned = learned
    }
}

/// An input with its embedding, an element of ``Encodings`` and ``AsyncEncodings``.
///
/// ```swift
/// for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
///     try RGBImage(contentsOfFile: path)
/// }) {
///     switch encoded.embedding {
///     case .success(let vector): print(encoded.input, vector.count)
///     case .failure(let error): print(encoded.input, error)
///     }
/// }
/// ```
public struct EncodedInput<Input: Sendable, Learned: Sendable>: Sendable {
    /// The input, an element of the sequence that is encoded.
    public let input: Input
    /// The value that `decode` returned together with the image.
    public let learned: Learned
    /// The embedding, not normalised, or the error of decoding or encoding the input.
    ///
    /// After `CLIPError.nonFiniteResult`, which means that the weights are unusable, the sequence
    /// ends.
    public let embedding: Result<[Float], CLIPError>
}

extension CLIPModel {
    /// Returns the embeddings of any number of images as a sequence, in the order of the inputs.
    ///
    /// Threads of the model decode and encode ahead of the caller; a bounded number of inputs is in
    /// memory at once. Leaving the loop stops the threads. The bits of an embedding do not depend
    /// on the other inputs, unless the engine is `fastBLAS`.
    ///
    /// ```swift
    /// for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
    ///     try RGBImage(contentsOfFile: path)
    /// }) {
    ///     print(encoded.input, try encoded.embedding.get().count)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - inputs: The inputs, such as paths. The thread that iterates over the embeddings also
    ///     reads the inputs, some of them ahead.
    ///   - decode: A function that returns the image of an input. Several threads call it at once.
    /// - Returns: A sequence of inputs with their embeddings.
    public func encodings<Inputs: Sequence>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) throws(CLIPError) -> RGBImage
    ) -> Encodings<Inputs, Void> where Inputs.Element: Sendable {
        encodings(of: inputs, decode: Self.learningNothing(decode))
    }

    /// Returns the embeddings of images together with a value that `decode` returns for each.
    public func encodings<Inputs: Sequence, Learned: Sendable>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) -> DecodedInput<Learned>
    ) -> Encodings<Inputs, Learned> where Inputs.Element: Sendable {
        Encodings(model: self, inputs: inputs, decode: decode)
    }

    static func learningNothing<Input>(
        _ decode: @escaping @Sendable (Input) throws(CLIPError) -> RGBImage
    ) -> @Sendable (Input) -> DecodedInput<Void> {
        { input in
            do throws(CLIPError) {
                return DecodedInput(.success(try decode(input)), learned: ())
            } catch {
                return DecodedInput(.failure(error), learned: ())
            }
        }
    }

    /// Encodes the images of files and passes each embedding to a function.
    ///
    /// - Parameters:
    ///   - files: The paths of the files.
    ///   - options: The limits and options for decoding.
    ///   - receive: A function that takes the embedding of each file, or the error of reading it,
    ///     in the order of the files. It is called on the calling thread.
    /// - Throws: `CLIPError.nonFiniteResult` if the weights produce NaN or infinity.
    public func encode(
        files: [String], options: RGBImage.DecodingOptions = .init(),
        receive: (_ index: Int, _ result: Result<[Float], CLIPError>) -> Void
    ) throws(CLIPError) {
        for encoded in encodings(
            of: files.indices,
            decode: { index throws(CLIPError) in
                try RGBImage(contentsOfFile: files[index], options: options)
            })
        {
            if case .failure(let error) = encoded.embedding, error.isOfWeights { throw error }
            receive(encoded.input, encoded.embedding)
        }
    }
}

extension CLIPError {
    /// True if the weights cause the error, so that other inputs would fail too.
    public var isOfWeights: Bool {
        if case .nonFiniteResult = self { true } else { false }
    }
}

/// A sequence of embeddings of images, computed ahead of the caller that iterates over it.
///
/// ```swift
/// for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
///     try RGBImage(contentsOfFile: path)
/// }) {
///     print(encoded.input, try encoded.embedding.get().count)
/// }
/// ```
///
/// `CLIPModel.encodings(of:decode:)` makes it and describes its behaviour.
public struct Encodings<Inputs: Sequence, Learned: Sendable>: Sequence
where Inputs.Element: Sendable {
    /// An input with its embedding.
    public typealias Element = EncodedInput<Inputs.Element, Learned>

    let model: CLIPModel
    let inputs: Inputs
    let decode: @Sendable (Inputs.Element) -> DecodedInput<Learned>

    /// Makes an iterator, which begins to encode at the first call of `next`.
    public func makeIterator() -> Iterator {
        Iterator(inputs.makeIterator(), EncodingStream(model, decode))
    }

    /// An iterator over the embeddings, in the order of the inputs.
    ///
    /// One thread at a time may use it.
    public struct Iterator: IteratorProtocol {
        private var inputs: Inputs.Iterator
        private let stream: EncodingStream<Inputs.Element, Learned>

        fileprivate init(
            _ inputs: Inputs.Iterator, _ stream: EncodingStream<Inputs.Element, Learned>
        ) {
            self.inputs = inputs
            self.stream = stream
        }

        /// Returns the next input with its embedding, or nil after the last one.
        public mutating func next() -> Element? { stream.next { inputs.next() } }
    }
}

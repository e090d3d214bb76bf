import CLIP

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

// Runs libFuzzer on one of the parsers: Fuzz TARGET [libFuzzer's arguments]. Scripts/fuzz.sh builds
// it.

/// A parser that is fed with bytes; it may throw any error.
enum Target: String, CaseIterable {
    case jpeg, png, webp, gif, bmp, raw, heif, tiff, jxl, resize, safetensors, checkpoint, tokenizer
    case sentencepiece
    case tokenizerJSON = "tokenizer_json"
    case multipart, base64, request, json, worker, parquet

    /// The configuration of the seeds, Tests/Fixtures/formats.
    private static let configuration = Array(
        """
        {"model_cfg":{"embed_dim":8,"quick_gelu":true,"vision_cfg":{"image_size":16,"patch_size":8,\
        "width":8,"head_width":4,"layers":1},\
        "text_cfg":{"context_length":12,"vocab_size":64,"width":8,"heads":2,"layers":1}},\
        "preprocess_cfg":{"size":16}}
        """.utf8)

    func feed(_ bytes: [UInt8]) {
        switch self {
        case .jpeg, .png, .webp, .gif, .bmp, .raw, .heif, .tiff, .jxl: decode(bytes)
        case .resize: resize(bytes)
        case .safetensors:
            if let model = try? CLIPModel(
                safetensors: bytes, configuration: Self.configuration, name: "fuzz")
            {
                _ = try? model.encode(tokens: [[1, 63]])
            }
        case .checkpoint: load(bytes)
        case .tokenizer: tokenize(bytes)
        case .sentencepiece, .tokenizerJSON: readTokenizer(bytes)
        case .multipart: parseMultipart(bytes)
        case .worker: parseFrames(bytes)
        case .base64: decodeBase64(bytes)
        case .request: parseRequest(bytes)
        case .json: parseJSON(bytes)
        case .parquet: readParquet(bytes)
        }
    }

    private func decode(_ bytes: [UInt8]) {
        for truncated in [false, true] {
            var options = RGBImage.DecodingOptions()
            options.maximumPixels = 1 << 20
            options.allowsTruncated = truncated
            options.scales16Bits = truncated
            options.convertsColours = truncated
            guard let image = try? RGBImage(decoding: bytes, options: options) else { continue }
            check(image, resolution: 33)
        }
    }

    /// Resizes an image made from bytes: width, height, presence of alpha, resolution, and repeated
    /// pixels.
    private func resize(_ bytes: [UInt8]) {
        guard bytes.count > 8 else { return }
        let width = 1 + (Int(bytes[0]) | Int(bytes[1]) << 8) % 600
        let height = 1 + (Int(bytes[2]) | Int(bytes[3]) << 8) % 600
        guard width * height < 60_000 else { return }
        let pixels = (0..<(3 * width * height)).map { bytes[8 + $0 % (bytes.count - 8)] }
        let alpha = bytes[4] & 1 == 0 ? nil : Array(pixels.prefix(width * height))
        guard
            let image = try? RGBImage(width: width, height: height, pixels: pixels, alpha: alpha)
        else { fatalError("an image of \(width) x \(height) was refused") }
        check(image, resolution: 1 + Int(bytes[5]))
    }

    private func check(_ image: RGBImage, resolution: Int) {
        for rules in ImagePreprocessor.Rules.allCases {
            var preprocessor = ImagePreprocessor(resolution: resolution)
            preprocessor.rules = rules
            let pixels = preprocessor(image)
            precondition(
                pixels.count == 3 * resolution * resolution && pixels.allSatisfy(\.isFinite))
        }
    }

    private func load(_ bytes: [UInt8]) {
        let path = "/dev/shm/clip-fuzz-\(getpid()).pt"
        guard let file = fopen(path, "wb") else { fatalError("cannot write \(path)") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
        let model = try? CLIPModel(path: path, configuration: Self.configuration, name: "fuzz")
        _ = try? model?.encode(tokens: [[1, 63]])
        unlink(path)
    }

    /// Reads a tokenizer file, a SentencePiece model or `tokenizer.json`, and encodes texts by it.
    private func readTokenizer(_ bytes: [UInt8]) {
        let texts = [
            "A photo of a\u{2581}cat,  \u{FB01}sh \u{2122}\u{301} e\u{301}\n\t \u{1F60A}</s> x",
            String(decoding: bytes.suffix(200), as: UTF8.self),
        ]
        for (format, rules) in [
            (SentencePieceTokenizer.Format.siglip, SentencePieceTokenizer.Rules.sentencePiece),
            (.siglip, .openCLIP), (.siglip, .huggingFace), (.siglip2, .huggingFace),
            (.metaCLIP2, .huggingFace),
        ] {
            guard
                let tokenizer = try? SentencePieceTokenizer(
                    bytes: bytes, format: format, rules: rules)
            else { continue }
            for text in texts {
                let ids = tokenizer.encode(text)
                precondition(ids.allSatisfy((0..<tokenizer.vocabularySize).contains))
                _ = tokenizer.decode(ids)
            }
        }
    }

    private func tokenize(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        for rules in BPETokenizer.Rules.allCases {
            let tokenizer = BPETokenizer(rules: rules)
            let ids = tokenizer.encode(text)
            precondition(ids.allSatisfy((0..<BPETokenizer.vocabularySize).contains))
            let row = try? tokenizer.tokenize(text, truncating: true)
            precondition(row.map { $0.count <= 77 && $0.last == BPETokenizer.endToken } == true)
            _ = tokenizer.decode(ids)
        }
    }
}

typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments>,
    _ feed: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

nonisolated(unsafe) var target = Target.tokenizer

guard CommandLine.arguments.count > 1, let named = Target(rawValue: CommandLine.arguments[1]) else {
    fatalError("name one of \(Target.allCases.map(\.rawValue))")
}
target = named
// libFuzzer gets the arguments without the target's name.
var arguments = CommandLine.unsafeArgv
arguments[1] = arguments[0]
var rest = arguments + 1
var count = CommandLine.argc - 1
exit(
    runDriver(&count, &rest) { start, count in
        target.feed(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    })

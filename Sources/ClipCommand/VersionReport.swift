import CLIP
import CLIPHub
import CLIPSearch
import CVersion
import Files
import Images

/// The version of the command, with the instruction sets, engines and libraries found.
enum VersionReport {
    static let number = "0.1.0"
    /// The commit that was built; empty if unknown.
    static var commit: String { String(cString: clip_commit()) }

    private static var precisions: [String] {
        Precision.allCases.filter(\.isSupported).map(\.rawValue)
    }

    /// The report on one line.
    ///
    /// For example "clip 0.1.0 (28b399d7e517; avx2: fp32, int8; engine native; OpenBLAS 0.3.21
    /// Haswell)".
    static var line: String {
        let parts = [
            commit.isEmpty ? nil : commit,
            "\(CLIPModel.instructionSet): \(precisions.joined(separator: ", "))",
            "engine \(engine.rawValue)",
            Engine.blasLibrary.map { "\($0.version) \($0.core)" },
            CodecVersions.lcms == nil ? "lcms2 not found" : nil,
        ]
        return "clip \(number) (\(parts.compactMap(\.self).joined(separator: "; ")))"
    }

    /// The engine that is used without `--engine`.
    private static var engine: Engine { Engine.preferred.isAvailable ? .preferred : .native }

    static var json: JSONValue {
        let commit = Self.commit
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        return .object([
            "version": .string(number), "commit": commit.isEmpty ? .null : .string(commit),
            "instruction_set": .string(CLIPModel.instructionSet),
            "instruction_sets": .array(CLIPModel.instructionSets.map { .string($0) }),
            "precisions": .array(precisions.map { .string($0) }),
            "engine": .string(engine.rawValue),
            "engines": .array(
                Engine.allCases.filter(\.isAvailable).map { .string($0.rawValue) }),
            "libraries": .object([
                "blas": text(Engine.blasLibrary?.version),
                "blas_core": text(Engine.blasLibrary?.core),
                "libjpeg": .string(CodecVersions.jpeg), "libpng": .string(CodecVersions.png),
                "libwebp": text(CodecVersions.webP), "sqlite": .string(sqliteVersion()),
                "libcurl": text(libcurlVersion()), "lcms2": text(CodecVersions.lcms),
                "libheif": text(CodecVersions.heif), "libtiff": text(CodecVersions.tiff),
                "libjxl": text(CodecVersions.jpegXL),
            ]),
        ])
    }
}

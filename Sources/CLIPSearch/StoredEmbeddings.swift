public import CLIP
internal import Tensors

/// Vectors that NumPy or `EmbeddingWriter` wrote, with their names.
public struct StoredEmbeddings: Sendable {
    /// One a row; the row's number where nothing names it.
    public let names: [FilePath]
    /// As they are in the file.
    public let embeddings: Embeddings

    /// Reads NumPy's `.npy`, float32 [rows, dimension], and the names that lie beside it: `x.names.jsonl` beside `x.npy`.
    ///
    /// - Throws: `CLIPError.unreadableFile` of any other array, and if there are not as many names as rows.
    public init(npy path: FilePath) throws(CLIPError) {
        do throws(FileError) {
            let file = try MappedFile(path: path.bytes)
            let (offset, rows, dimension) = try Self.shape(of: file)
            embeddings = Embeddings(
                values: file.floats(at: offset, count: rows * dimension), dimension: dimension)
            guard embeddings.values.allSatisfy(\.isFinite) else {
                throw FileError(reason: "it has numbers that are not finite")
            }
            let beside = FilePath(path.bytes.dropLast(4) + ".names.jsonl".utf8)
            guard path.pathExtension == "npy", (try? FileStatus(path: beside.bytes)) != nil else {
                names = (0..<rows).map { FilePath("\($0)") }
                return
            }
            let lines = try InputFile(path: beside.bytes)
            var names: [FilePath] = []
            while let line = try lines.read(upTo: UInt8(ascii: "\n")) {
                guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
                    let name = FilePath(quoted: line[(colon + 1)...])
                else { throw FileError(reason: "line \(names.count + 1) of \(beside) has no name") }
                names.append(name)
            }
            guard names.count == rows else {
                throw FileError(reason: "it has \(rows) rows, but \(beside) \(names.count) names")
            }
            self.names = names
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// Where the numbers begin, and how many there are.
    private static func shape(
        of file: MappedFile
    ) throws(FileError) -> (offset: Int, rows: Int, dimension: Int) {
        let magic = [0x93] + Array("NUMPY".utf8)
        guard file.count >= 12, file.bytes(0..<6) == magic else {
            throw FileError(reason: "it is no .npy file of NumPy")
        }
        let isLong = file.number(6, 1) >= 2
        let start = isLong ? 12 : 10
        let length = Int(file.number(8, isLong ? 4 : 2))
        guard length <= file.count - start else { throw FileError(reason: "it is cut off") }
        let header = String(decoding: file.bytes(start..<(start + length)), as: UTF8.self)
        let shape = header.firstRange(of: "'shape': (").map { header[$0.upperBound...] } ?? ""
        let sides = shape.prefix { $0 != ")" }.split(separator: ",")
            .map { Int($0.filter { $0 != " " }) }
        guard header.contains("'<f4'"), header.contains("'fortran_order': False"),
            sides.count == 2, let rows = sides[0], let dimension = sides[1], rows > 0, dimension > 0
        else {
            throw FileError(
                reason: "it is to be a matrix of float32 by rows ('<f4', [rows, dimension]), not "
                    + header.filter { !$0.isNewline }.trimmed)
        }
        let (count, overflow) = rows.multipliedReportingOverflow(by: dimension)
        guard !overflow, count == (file.count - start - length) / 4 else {
            throw FileError(
                reason: "it is cut off: \(rows) x \(dimension) numbers are to follow its header")
        }
        return (start + length, rows, dimension)
    }
}

extension String {
    /// Without the spaces at its end.
    fileprivate var trimmed: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

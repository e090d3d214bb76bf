internal import Files

/// Writes batches of points for Qdrant, one JSON object per line: the body of
/// `PUT /collections/NAME/points`.
///
/// ```
/// {"batch":{"ids":[0,1],"vectors":[[0.5,-0.1],[0.2,0.3]],"payloads":[{"path":"a.jpg"},…]}}
/// ```
///
/// A number has the fewest digits that identify its float32. Names that are not UTF-8 have U+FFFD.
///
/// Source: https://api.qdrant.tech/api-reference/points/upsert-points
package final class QdrantExport: EmbeddingExport {
    private let output: ExportStream
    private let schema: ExportSchema
    private let columns: [ParquetColumn]
    private let batchSize: Int
    private var nextID: Int
    private var ids: [UInt8] = []
    private var vectors: [UInt8] = []
    private var payloads: [UInt8] = []
    private var batchCount = 0
    package private(set) var replacedNames = 0

    /// Starts the batches.
    ///
    /// - Parameters:
    ///   - output: The destination.
    ///   - schema: The properties of the table.
    ///   - batchSize: The number of points in each batch, the last one excepted; at least 1.
    ///   - firstID: The id of the first row, at least 0; the next rows have the next ids.
    package init(
        _ output: ExportStream, _ schema: ExportSchema, batchSize: Int = 1_000, firstID: Int = 0
    ) {
        precondition(batchSize > 0, "expected a batch of at least 1 point, found \(batchSize)")
        self.output = output
        self.schema = schema
        columns = schema.columns(besides: ["path", EmbeddingTable.kindColumn])
        self.batchSize = batchSize
        nextID = firstID
    }

    package func append(_ block: EmbeddingBlock) throws(EmbeddingFileError) {
        for row in block.names.indices {
            if batchCount > 0 {
                for part in [\QdrantExport.ids, \.vectors, \.payloads] {
                    self[keyPath: part].append(UInt8(ascii: ","))
                }
            }
            ids += "\(nextID)".utf8
            nextID += 1
            appendVector(block.vectors[(row * schema.dimension)..<((row + 1) * schema.dimension)])
            let (text, isChanged) = plainText(block.names[row])
            if isChanged { replacedNames += 1 }
            var members: [JSONValue.Member] = [("path", .string(text))]
            if schema.hasTexts {
                let isText = !block.isText.isEmpty && block.isText[row]
                members.append((EmbeddingTable.kindColumn, .string(isText ? "text" : "image")))
            }
            if !block.fields.isEmpty {
                for (column, value) in zip(columns, block.fields[row]) where value != .null {
                    members.append((column.name, value.json))
                }
            }
            payloads += JSONValue.object(members).bytes
            batchCount += 1
            if batchCount == batchSize { try writeBatch() }
        }
    }

    private func appendVector(_ vector: ArraySlice<Float>) {
        var separator = UInt8(ascii: "[")
        for number in vector {
            vectors.append(separator)
            vectors += number.description.utf8
            separator = UInt8(ascii: ",")
        }
        vectors.append(UInt8(ascii: "]"))
    }

    private func writeBatch() throws(EmbeddingFileError) {
        guard batchCount > 0 else { return }
        var line = Array("{\"batch\":{\"ids\":[".utf8)
        line.reserveCapacity(ids.count + vectors.count + payloads.count + 100)
        line += ids
        line += "],\"vectors\":[".utf8
        line += vectors
        line += "],\"payloads\":[".utf8
        line += payloads
        line += "]}}\n".utf8
        try output.write(line)
        ids.removeAll(keepingCapacity: true)
        vectors.removeAll(keepingCapacity: true)
        payloads.removeAll(keepingCapacity: true)
        batchCount = 0
    }

    package func finish() throws(EmbeddingFileError) {
        try writeBatch()
        try output.finish()
    }

    package func discard() { output.discard() }
}

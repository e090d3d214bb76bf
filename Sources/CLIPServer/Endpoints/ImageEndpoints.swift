internal import CLIP
internal import CLIPSearch

/// The endpoint that serves indexed images and their thumbnails, and no other file.
enum ImageEndpoints {
    static let all = [
        Endpoint(method: "GET", path: "/image/*") { request, services in
            try await image(request, services)
        }
    ]

    /// The longest side of a thumbnail, in pixels.
    static let sizeRange = 16...1024
    /// The threads that read files and make thumbnails.
    private static let threads = CallThreads(atMost: 4)
    /// The thumbnails that were last sent, 32 MB, by their entity tags.
    private static let thumbnails = RecentCache<String, [UInt8]>(limit: 32 << 20)

    /// An image that a path names: `/image/INDEX/ID`.
    struct Address: Equatable {
        let index: Int
        let id: ImageID

        /// Parses a path; nil for any other text.
        init?(path: String) {
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 4, parts[0].isEmpty, parts[1] == "image",
                (1...4).contains(parts[2].utf8.count),
                parts[2].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let index = Int(parts[2]), let id = ImageID(String(parts[3]))
            else { return nil }
            (self.index, self.id) = (index, id)
        }
    }

    private static func image(
        _ request: ServerRequest, _ services: Services
    ) async throws -> ServerResponse {
        guard let address = Address(path: request.path) else { throw IndexPool.unknownImage }
        let size = try RequestFields(texts: request.query).integer("size", in: sizeRange)
        let served = try services.indexes.index(address.index)
        let tag = tag(address.id, size: size)
        let isKnown = request.matches(tag: tag)
        let maximumPixels = services.options.maximumPixels
        return try await threads.run { cancellation in
            // An image is sent only as long as the index has it.
            let (index, item) = try served.item(address.id)
            var response: ServerResponse
            if isKnown {
                response = ServerResponse(status: 304)
            } else if let size {
                let file: [UInt8]
                if let cached = thumbnails[tag] {
                    file = cached
                } else {
                    let original = try served.contents(of: item, in: index)
                    try cancellation.check()
                    file = try thumbnail(of: original, size, maximumPixels: maximumPixels)
                    thumbnails.store(file, for: tag, cost: file.count + 200)
                }
                response = ServerResponse(file, type: "image/jpeg")
            } else {
                let file = try served.contents(of: item, in: index)
                response = ServerResponse(file, type: mediaType(of: file))
            }
            response.headers += [
                ("ETag", tag), ("Cache-Control", "private, max-age=3600"),
                ("X-Content-Type-Options", "nosniff"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Content-Security-Policy", "sandbox; default-src 'none'"),
            ]
            return response
        }
    }

    /// Returns the entity tag of an image or of its thumbnail, with quotation marks.
    static func tag(_ id: ImageID, size: Int?) -> String {
        let digest = "\(id)".prefix(64)
        return size.map { "\"\(digest)-\($0)\"" } ?? "\"\(digest)\""
    }

    /// Returns the media type of an image file by its first bytes.
    static func mediaType(of file: [UInt8]) -> String {
        if file.starts(with: [0xFF, 0xD8, 0xFF]) { return "image/jpeg" }
        if file.starts(with: [0x89] + Array("PNG\r\n\u{1A}\n".utf8)) { return "image/png" }
        if file.starts(with: "RIFF".utf8), file.dropFirst(8).starts(with: "WEBP".utf8) {
            return "image/webp"
        }
        if file.starts(with: "GIF8".utf8) { return "image/gif" }
        // The size of the header, less than 256, is at offset 14.
        if file.starts(with: "BM".utf8), file.count > 17, file[14] > 0, file[15] == 0 {
            return "image/bmp"
        }
        return "application/octet-stream"
    }

    /// Returns a JPEG file that fits into a square.
    ///
    /// - Throws: `RequestError` with status 422 if the file cannot be decoded.
    private static func thumbnail(
        of file: [UInt8], _ side: Int, maximumPixels: Int
    ) throws(RequestError) -> [UInt8] {
        var options = RGBImage.DecodingOptions()
        options.smallestSide = 2 * side
        options.allowsTruncated = true
        options.maximumPixels = maximumPixels
        let decoding = options
        let thumbnail = try? RGBImage.whileHoldingMemory { () throws(CLIPError) in
            try RGBImage(decoding: file, options: decoding).thumbnail(fitting: side)
        }
        guard let thumbnail, !thumbnail.isEmpty else {
            throw RequestError(422, "unreadable_image", "the image cannot be decoded")
        }
        return thumbnail
    }
}

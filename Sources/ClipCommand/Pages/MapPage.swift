import CLIPAnalysis
import Files
import CLIPSearch
import CPages

/// A page with a map of images.
///
/// Each image is a dot or thumbnail, which shows a preview and opens the file.
struct MapPage {
    let title: String
    let about: [String]
    let names: [FilePath]
    let points: [TSNE.Point]
    /// The thumbnails as JPEG files, one per name; nil where the image cannot be read.
    let thumbnails: [[UInt8]?]
    /// The index in `clusters` of each image's cluster.
    let assignments: [Int]
    let clusters: [Clusters.Cluster]
    let location: PageLocation

    var bytes: [UInt8] {
        let data = JSONValue.object([
            "names": .array(names.map { .string($0.description) }),
            "links": .array(
                zip(names, thumbnails).map { name, thumbnail in
                    thumbnail == nil ? .null : .string(location.link(to: name))
                }),
            "x": .array(points.map { .float(rounded($0.x)) }),
            "y": .array(points.map { .float(rounded($0.y)) }),
            "cluster": .array(assignments.map { .integer($0) }),
            "clusters": .array(
                clusters.enumerated().map { number, cluster in
                    .object([
                        "name": .string(cluster.name?.text ?? "\(number + 1)"),
                        "isLabel": .bool(cluster.name != nil),
                        "cosine": cluster.name.map { .float($0.cosine) } ?? .null,
                        "size": .integer(cluster.members.count),
                    ])
                }),
            "images": .array(thumbnails.map { $0.map { .string(dataURI($0)) } ?? .null }),
        ])
        var page = Page(title: title, about: about, location: location)
        page.append(style: clip_map_css())
        page.append(
            withScript: PageTemplate(clip_map_html()).filled([
                "data": Self.withinScript(data.bytes),
                "script": PageTemplate.bytes(of: clip_map_js()),
            ]))
        return page.bytes
    }

    /// Returns JSON with `<` escaped, so that it cannot end the enclosing script element.
    private static func withinScript(_ json: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(json.count)
        for byte in json {
            if byte == UInt8(ascii: "<") {
                result += "\\u003c".utf8
            } else {
                result.append(byte)
            }
        }
        return result
    }

    private func rounded(_ value: Float) -> Float { (value * 1000).rounded() / 1000 }
}

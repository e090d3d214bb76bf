public import CLIP

/// The decoding options on which the vectors of an index depend.
///
/// Vectors made with different options are not comparable; `IndexError.otherDecoding` has both
/// sets.
///
/// `RGBImage.DecodingOptions.convertsColours` is not recorded, so that indexes from before that
/// option stay valid. An image is encoded again only if its file changes: in such an index, images
/// with ICC profiles keep their old vectors until it is rebuilt.
public struct IndexedDecoding: Sendable, Hashable {
    /// The rules of resizing and cropping.
    public let rules: ImagePreprocessor.Rules
    /// True if the EXIF orientation is applied.
    public let appliesOrientation: Bool
    /// True if 16-bit grey is scaled to 8 bits; false if values above 255 are clipped.
    public let scales16Bits: Bool
    /// True if truncated images are accepted.
    public let allowsTruncated: Bool
    /// The shortest side, in pixels, to which a JPEG may be reduced while it is decoded; 0 if it is
    /// decoded at its full size.
    public let smallestSide: Int

    package init(_ options: RGBImage.DecodingOptions, _ preprocessor: ImagePreprocessor) {
        rules = preprocessor.rules
        appliesOrientation = options.appliesOrientation
        scales16Bits = options.scales16Bits
        allowsTruncated = options.allowsTruncated
        smallestSide = options.smallestSide ?? 0
    }

    /// Parses the text that an index or a probe stores; nil for any other text.
    package init?(stored: String) {
        let words = stored.split { $0 == "," || $0 == " " }
        guard words.count == 11, let rules = ImagePreprocessor.Rules(rawValue: String(words[0])),
            let orientation = Bool(String(words[2])), let scales = Bool(String(words[5])),
            let truncated = Bool(String(words[7])), let side = Int(words[10])
        else { return nil }
        (self.rules, appliesOrientation, scales16Bits) = (rules, orientation, scales)
        (allowsTruncated, smallestSide) = (truncated, side)
    }

    /// The options as the text that an index or a probe stores, which is part of its format.
    package var stored: String {
        """
        \(rules.rawValue), orientation \(appliesOrientation), 16 bits \(scales16Bits), truncated \
        \(allowsTruncated), smallest side \(smallestSide)
        """
    }

    /// Returns the options that differ from those of `other` as a phrase, such as "truncated images
    /// accepted".
    func difference(from other: IndexedDecoding) -> String {
        var words: [String] = []
        if rules != other.rules { words.append("the preprocessing \(rules.rawValue)") }
        if appliesOrientation != other.appliesOrientation {
            words.append("EXIF orientations \(appliesOrientation ? "applied" : "ignored")")
        }
        if scales16Bits != other.scales16Bits {
            words.append("16-bit images \(scales16Bits ? "scaled" : "clipped")")
        }
        if allowsTruncated != other.allowsTruncated {
            words.append("truncated images \(allowsTruncated ? "accepted" : "refused")")
        }
        if smallestSide != other.smallestSide {
            words.append(
                smallestSide == 0
                    ? "JPEGs decoded at full size"
                    : "JPEGs decoded at a reduced size of at least \(smallestSide) pixels")
        }
        return words.joined(separator: ", ")
    }
}

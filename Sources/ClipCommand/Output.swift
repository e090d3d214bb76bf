@preconcurrency import ArgumentParser
import CLIP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// Something that ends the command, with its exit status.
struct Failure: Error, CustomStringConvertible {
    let description: String
    let status: Int32

    init(_ description: String, status: Int32 = 1) {
        self.description = description
        self.status = status
    }
}

/// One line on standard error.
func report(_ error: some CustomStringConvertible) {
    note("clip: error: \(error)")
}

/// One line on standard error, of whatever a message holds.
func note(_ line: String) {
    let oneLine = line.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
    fputs(String(String.UnicodeScalarView(oneLine)) + "\n", stderr)
}

/// Whether standard output is a terminal.
var outputIsTerminal: Bool { isatty(1) == 1 }

/// Makes sure that what was printed has arrived.
func finishOutput() throws {
    guard fflush(stdout) == 0, ferror(stdout) == 0 else {
        throw Failure("cannot write to standard output: \(String(cString: strerror(errno)))")
    }
}

/// Writes bytes to a file, all or nothing, or to standard output where there is no path.
func write(_ bytes: [UInt8], to path: String?) throws {
    let path = path == "-" ? nil : path
    guard let path else {
        _ = bytes.withUnsafeBufferPointer { fwrite($0.baseAddress, 1, $0.count, stdout) }
        return
    }
    do {
        var isDirectory = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory {
            throw Failure("cannot write \(path): it is a directory")
        }
        // A device or a pipe cannot be replaced by a finished file.
        let type = try? FileManager.default.attributesOfItem(atPath: path)[.type]
        let isRegular = type.map { $0 as? FileAttributeType == .typeRegular } ?? true
        try Data(bytes).write(
            to: URL(fileURLWithPath: path), options: isRegular ? .atomic : [])
    } catch let failure as Failure {
        throw failure
    } catch {
        throw Failure("cannot write \(path): \(reason(of: error))")
    }
}

/// The lines of a text file or, for "-", of standard input; empty ones are left out.
func readLines(_ path: String) throws -> [String] {
    var lines: [String] = []
    if path == "-" {
        while let line = readLine() { lines.append(line) }
    } else {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw Failure("cannot read \(path): \(reason(of: error))")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Failure("cannot read \(path): it is not UTF-8")
        }
        let start = text.unicodeScalars.first == "\u{FEFF}" ? 1 : 0
        lines = text.unicodeScalars.dropFirst(start).split(separator: "\n").map { String($0) }
    }
    return lines.map { $0.unicodeScalars.last == "\r" ? String($0.unicodeScalars.dropLast()) : $0 }
        .filter { !$0.isEmpty }
}

private func reason(of error: any Error) -> String {
    guard let error = error as? CocoaError else { return "\(error)" }
    switch error.code {
    case .fileReadNoSuchFile, .fileNoSuchFile: return "No such file or directory"
    case .fileReadNoPermission, .fileWriteNoPermission: return "Permission denied"
    case .fileWriteOutOfSpace: return "No space left on device"
    default:
        return (error.underlying as? POSIXError).map { String(cString: strerror($0.code.rawValue)) }
            ?? "\(error.code)"
    }
}

/// JSON with its keys in the order in which they are written, and floats as short as they can be.
enum JSON: CustomStringConvertible {
    case null
    case bool(Bool)
    case integer(Int)
    case float(Float)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(KeyValuePairs<String, JSON>)

    static func floats(_ values: some Sequence<Float>) -> JSON { .array(values.map { .float($0) }) }

    var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .float(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): Self.quoted(value)
        case .array(let values): "[" + values.map(\.description).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { "\(Self.quoted($0)):\($1)" }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// NumPy's .npy, version 1.0: float32 in row-major order.
///
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
func npy(_ values: [Float], shape: [Int]) -> [UInt8] {
    let sides = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sides)), }"
    // The numbers start at a multiple of 64 bytes.
    let padding = 63 - (10 + header.utf8.count) % 64
    header += String(repeating: " ", count: padding) + "\n"
    let length = header.utf8.count
    var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
    bytes += [UInt8(length & 0xFF), UInt8(length >> 8)] + Array(header.utf8)
    bytes.reserveCapacity(bytes.count + 4 * values.count)
    for value in values {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }
    return bytes
}

extension String {
    /// Padded on the left to a width.
    func right(_ width: Int) -> String {
        String(repeating: " ", count: Swift.max(0, width - count)) + self
    }
}

/// A number with a fixed count of decimals.
func fixed(_ value: some BinaryFloatingPoint, _ decimals: Int) -> String {
    let value = Double(value)
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = (0..<decimals).reduce(1.0) { result, _ in result * 10 }
    let digits = String(Int((abs(value) * scale).rounded()))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let sign = value < 0 && digits.contains { $0 != "0" } ? "-" : ""
    guard decimals > 0 else { return sign + padded }
    return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}

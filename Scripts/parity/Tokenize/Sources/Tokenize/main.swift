import CLIP

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

// Tokenize PATH KIND RULES [CACHE]: reads texts from standard input, each after a line with its
// number of bytes, and writes the ids of each as a line of JSON. Times are written to standard
// error. For Scripts/parity/sentence_pieces.py.

let formats: [String: SentencePieceTokenizer.Format] = [
    "siglip": .siglip, "siglip-i18n": .siglipMultilingual, "siglip2": .siglip2,
    "metaclip2": .metaCLIP2,
]

func milliseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
}

func write(_ bytes: [UInt8], to descriptor: Int32) {
    var position = 0
    while position < bytes.count {
        let count = bytes[position...].withUnsafeBytes {
            write(descriptor, $0.baseAddress, $0.count)
        }
        if count <= 0 { exit(1) }
        position += count
    }
}

func readAll() -> [UInt8] {
    var input: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
        let count = read(0, &buffer, buffer.count)
        if count <= 0 { return input }
        input += buffer[..<count]
    }
}

let arguments = CommandLine.arguments
guard arguments.count >= 4, let format = formats[arguments[2]],
    let rules = SentencePieceTokenizer.Rules(rawValue: arguments[3])
else {
    write(Array("usage: Tokenize PATH KIND RULES [CACHE]\n".utf8), to: 2)
    exit(2)
}
let start = milliseconds()
do {
    let tokenizer = try SentencePieceTokenizer(
        contentsOf: arguments[1], format: format, rules: rules,
        cacheFolder: arguments.count > 4 ? arguments[4] : nil)
    _ = tokenizer.encode("a photo of a cat")
    write(Array("first text after \(milliseconds() - start) ms\n".utf8), to: 2)
    let input = readAll()
    var output: [UInt8] = []
    var position = 0
    while let end = input[position...].firstIndex(of: 0x0A) {
        let count = Int(String(decoding: input[position..<end], as: UTF8.self)) ?? 0
        let text = String(decoding: input[(end + 1)...].prefix(count), as: UTF8.self)
        output += Array("\(tokenizer.encode(text))\n".utf8)
        position = end + 1 + count
    }
    write(output, to: 1)
} catch {
    write(Array("\(error)\n".utf8), to: 2)
    exit(1)
}

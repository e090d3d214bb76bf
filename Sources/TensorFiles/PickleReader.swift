/// A reader of Python pickles that parses them into plain data and executes no functions.
///
/// A pickle is a program for a stack machine, which builds objects by calling any function that the
/// pickle names. This restricted interpreter supports what state dicts need: containers, numbers,
/// strings, and calls of the few functions that create tensors, which it records without executing
/// them. Any other function is an error that names it. All containers lie in one array and refer to
/// each other by index, so deep nesting cannot overflow the call stack.
///
/// Source: pickletools.py of Python; torch/csrc/jit/serialization/pickler.cpp and
/// torch/serialization.py of PyTorch.
struct PickleReader {
    /// A value on the stack of the interpreter.
    enum Value: Equatable {
        case none
        case bool(Bool)
        case integer(Int)
        case number(Double)
        case string(String)
        /// A function or class that is allowed, as "module name".
        case global(String)
        /// A container or a call, by its index in `nodes`.
        case node(Int)
    }

    /// The kind of a node, which determines its values.
    enum Kind: Equatable {
        case tuple, list
        /// A dictionary; the node's values alternate between keys and values.
        case dictionary
        /// A call; the node's values are the function and a tuple of arguments.
        case call
        /// A tensor's storage in a separate record; the node's values are the parts of its id.
        case persistent
    }

    /// A container, call or storage.
    struct Node: Equatable {
        let kind: Kind
        var values: [Value]
        /// The state, usually a dictionary, that the pickle assigns to the object of a call.
        var state: Value?
    }

    /// All containers, calls and storages of the pickle.
    private(set) var nodes: [Node] = []
    /// The value of the whole pickle.
    private(set) var root = Value.none

    private let bytes: [UInt8]
    private var position = 0
    private var stack: [Value] = []
    /// The stack positions of the MARK opcodes whose groups are not closed yet.
    private var marks: [Int] = []
    private var memo: [Int: Value] = [:]
    private var valueCount = 0

    /// The largest number of values in all containers together; large models have some thousands.
    private static let valueLimit = 1 << 22

    init(_ bytes: [UInt8]) throws(FormatError) {
        self.bytes = bytes
        var isDone = false
        while !isDone { isDone = try step() }
        guard marks.isEmpty, stack.count == 1, let only = stack.popLast() else {
            throw FormatError(
                "the pickle ends with \(stack.count) values and \(marks.count) marks on the stack",
                expected: "one value")
        }
        root = only
        memo = [:]
    }

    /// Returns the node that a value refers to; nil if the value is not a container or a call.
    func node(_ value: Value?) -> Node? {
        guard case .node(let index)? = value else { return nil }
        return nodes[index]
    }

    // MARK: names

    private static let storages = [
        "Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool",
    ]

    private static let allowed: Set<String> = Set(
        storages.map { "torch \($0)Storage" }
            + [
                "collections OrderedDict", "torch Size", "torch device",
                "torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2",
                "torch._utils _rebuild_parameter", "torch.jit._pickle build_intlist",
                "torch.jit._pickle build_doublelist", "torch.jit._pickle build_boollist",
                "torch.jit._pickle build_tensorlist", "torch.jit._pickle restore_type_tag",
            ])

    /// Returns true if pickles may refer to a function or class, given as "module name".
    ///
    /// Classes of TorchScript, `__torch__…`, are defined by the archive itself.
    private static func isAllowed(_ global: String) -> Bool {
        allowed.contains(global) || global.hasPrefix("__torch__.") || global.hasPrefix("__torch__ ")
    }

    private func global(_ module: String, _ name: String) throws(FormatError) -> Value {
        guard module.utf8.count + name.utf8.count <= 1024 else {
            throw FormatError("the pickle has a function or class name of more than 1024 bytes")
        }
        let global = "\(module) \(name)"
        guard Self.isAllowed(global) else {
            throw FormatError(
                """
                the pickle refers to \(module).\(name), which is not allowed, since no state dict \
                needs it; save only the model's state_dict(), as safetensors if possible
                """)
        }
        return .global(global)
    }

    // MARK: the stack machine

    /// Executes one opcode; returns true if it is STOP, the last.
    private mutating func step() throws(FormatError) -> Bool {
        let start = position
        let opcode = try byte()
        switch opcode {
        case 0x80:  // PROTO
            let version = try byte()
            guard (2...5).contains(version) else {
                throw FormatError(
                    "unsupported pickle protocol \(version)", expected: "2 to 5")
            }
        case 0x95: _ = try take(8)  // FRAME
        case ascii("."): return true
        case ascii("("): marks.append(stack.count)
        case ascii("0"): _ = try pop()
        case ascii("1"): _ = try popGroup()
        case ascii("2"):
            let top = try top()
            stack.append(top)

        case ascii("N"): stack.append(.none)
        case 0x88: stack.append(.bool(true))
        case 0x89: stack.append(.bool(false))
        case ascii("J"):
            let bits = UInt32(truncatingIfNeeded: try number(4))
            stack.append(.integer(Int(Int32(bitPattern: bits))))
        case ascii("K"): stack.append(.integer(Int(try number(1))))
        case ascii("M"): stack.append(.integer(Int(try number(2))))
        case 0x8A: try long(Int(try number(1)))
        case ascii("G"):
            let bits = try take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            stack.append(.number(Double(bitPattern: bits)))
        case ascii("X"): try string(length: 4)
        case 0x8C: try string(length: 1)
        case 0x8D: try string(length: 8)

        case ascii(")"): push(.tuple, [])
        case ascii("t"): push(.tuple, try popGroup())
        case 0x85, 0x86, 0x87: push(.tuple, try pop(Int(opcode) - 0x84))
        case ascii("]"): push(.list, [])
        case ascii("l"): push(.list, try popGroup())
        case ascii("}"): push(.dictionary, [])
        case ascii("d"):
            let items = try popGroup()
            guard items.count % 2 == 0 else {
                throw FormatError("the pickle has a key without a value")
            }
            push(.dictionary, items)
        case ascii("a"): try extend(.list, with: try pop(1))
        case ascii("e"): try extend(.list, with: try popGroup())
        case ascii("s"): try extend(.dictionary, with: try pop(2))
        case ascii("u"): try extend(.dictionary, with: try popGroup())

        case ascii("q"): memo[Int(try number(1))] = try top()
        case ascii("r"): memo[Int(try number(4))] = try top()
        case 0x94: memo[memo.count] = try top()
        case ascii("h"): try recall(Int(try number(1)))
        case ascii("j"): try recall(Int(try number(4)))

        case ascii("c"):
            let (module, name) = (try line(), try line())
            stack.append(try global(module, name))
        case 0x93:
            let names = try pop(2)
            guard case (.string(let module), .string(let name)) = (names[0], names[1]) else {
                throw FormatError("the pickle has a function or class name that is not a string")
            }
            stack.append(try global(module, name))
        case ascii("R"), 0x81:
            let parts = try pop(2)
            try call(parts[0], parts[1])
        case ascii("b"):
            let state = try pop()
            // The state of an OrderedDict, beside its items, is ignored.
            if case .node(let index) = try top(), nodes[index].kind == .call {
                nodes[index].state = state
            }
        case ascii("Q"):
            guard let id = node(try pop()), id.kind == .tuple else {
                throw FormatError("the pickle has a storage whose id is not a tuple")
            }
            push(.persistent, id.values)
        default:
            throw FormatError(
                "unsupported opcode \(opcode) at byte \(start) of the pickle")
        }
        guard valueCount <= Self.valueLimit, stack.count <= Self.valueLimit,
            memo.count <= Self.valueLimit
        else {
            throw FormatError("the pickle holds more than \(Self.valueLimit) values")
        }
        return false
    }

    private mutating func call(_ function: Value, _ arguments: Value) throws(FormatError) {
        guard case .global(let name) = function, let values = node(arguments)?.values else {
            throw FormatError("the pickle has a call without a function name or arguments")
        }
        guard name == "collections OrderedDict" else { return push(.call, [function, arguments]) }
        var items: [Value] = []
        for pair in node(values.first)?.values ?? [] {
            guard let pair = node(pair)?.values, pair.count == 2 else {
                throw FormatError("the pickle has an OrderedDict with an item that is not a pair")
            }
            items += pair
        }
        push(.dictionary, items)
    }

    private mutating func push(_ kind: Kind, _ values: [Value]) {
        valueCount += 1 + values.count
        nodes.append(Node(kind: kind, values: values))
        stack.append(.node(nodes.count - 1))
    }

    private mutating func extend(_ kind: Kind, with values: [Value]) throws(FormatError) {
        guard case .node(let index) = try top(), nodes[index].kind == kind,
            kind == .list || values.count % 2 == 0
        else { throw FormatError("the pickle adds unsuitable items to a list or dictionary") }
        valueCount += values.count
        nodes[index].values += values
    }

    private mutating func recall(_ index: Int) throws(FormatError) {
        guard let value = memo[index] else {
            throw FormatError("the pickle reads a memo entry that it never stored")
        }
        stack.append(value)
    }

    private func top() throws(FormatError) -> Value {
        guard stack.count > marks.last ?? 0, let top = stack.last else {
            throw FormatError("the pickle reads from an empty stack")
        }
        return top
    }

    private mutating func pop() throws(FormatError) -> Value {
        let value = try top()
        stack.removeLast()
        return value
    }

    private mutating func pop(_ count: Int) throws(FormatError) -> [Value] {
        guard stack.count - (marks.last ?? 0) >= count else {
            throw FormatError("the pickle reads from an empty stack")
        }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popGroup() throws(FormatError) -> [Value] {
        guard let mark = marks.popLast() else {
            throw FormatError("the pickle ends a group without a MARK at its beginning")
        }
        defer { stack.removeLast(stack.count - mark) }
        return Array(stack[mark...])
    }

    // MARK: bytes

    private func ascii(_ scalar: Unicode.Scalar) -> UInt8 { UInt8(ascii: scalar) }

    private mutating func take(_ count: Int) throws(FormatError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= bytes.count - position else {
            throw FormatError("the pickle is truncated")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    private mutating func byte() throws(FormatError) -> UInt8 { UInt8(try number(1)) }

    private mutating func number(_ width: Int) throws(FormatError) -> UInt64 {
        try take(width).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func string(length width: Int) throws(FormatError) {
        let length = try number(width)
        guard length <= UInt64(bytes.count),
            let text = String(validating: try take(Int(length)), as: UTF8.self)
        else { throw FormatError("the pickle has a string that is truncated or not UTF-8") }
        stack.append(.string(text))
    }

    /// Pushes an integer of `count` bytes, or `none` for more than 64 bits, which no tensor needs.
    private mutating func long(_ count: Int) throws(FormatError) {
        let digits = try take(count)
        guard count <= 8 else { return stack.append(.none) }
        let sign: UInt64 = (digits.last ?? 0) & 0x80 == 0 ? 0 : .max
        let bits = digits.reversed().reduce(sign) { $0 << 8 | UInt64($1) }
        stack.append(.integer(Int(Int64(bitPattern: bits))))
    }

    private mutating func line() throws(FormatError) -> String {
        guard let end = bytes[position...].prefix(1024).firstIndex(of: UInt8(ascii: "\n")),
            let text = String(validating: bytes[position..<end], as: UTF8.self)
        else { throw FormatError("the pickle has a name that is truncated or not UTF-8") }
        position = end + 1
        return text
    }
}

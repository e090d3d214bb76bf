import Files
import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension CompletionKind {
    /// Names of models that are known or on this machine, and paths of weights.
    static var model: CompletionKind {
        .custom { words, index, prefix in
            // fish 3 counts the cursor's place from the start of the line in some cases; there, the word ends at it.
            let isFish = CompletionShell.requesting == .fish && words.indices.contains(index)
            return ModelCompletion.candidates(for: isFish ? words[index] : prefix)
        }
    }

    /// Names of models alone, for what is fetched.
    static var modelName: CompletionKind { .custom { _, _, _ in ModelCompletion.names } }
}

/// What completes a model.
enum ModelCompletion {
    /// The names that clip models lists, `tiny`, and the repositories on this machine that hold a model.
    static var names: [String] {
        var names = [BundledModel.name]
        for model in HubModel.all {
            names += [model.official?.name, model.name].compactMap(\.self)
        }
        names += ModelHub().installedRepositories
        return names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    static func candidates(for prefix: String) -> [String] {
        names + paths(beginningWith: unquoted(prefix))
    }

    private static let weights: Set<String> = ["safetensors", "pt", "pth", "bin", "json"]

    /// The folders and files of weights whose paths begin with what is there of a word.
    private static func paths(beginningWith prefix: String) -> [String] {
        let shown = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
        let start = prefix.dropFirst(shown.count)
        var found: [String] = []
        var folders: [String] = []
        for name in entries(shown) where name.hasPrefix(start) {
            guard !name.hasPrefix(".") || start.hasPrefix(".") else { continue }
            var isFolder = false
            guard exists(shown + name, isFolder: &isFolder) else { continue }
            if isFolder {
                folders.append(shown + name)
            } else if weights.contains(FilePath(name).pathExtension) {
                found.append(shown + name)
            }
        }
        // bash adds the slash by itself; zsh would end the word after the only folder, unless more follows.
        let ending = CompletionShell.requesting == .bash ? "" : "/"
        let inside =
            folders.count == 1 && found.isEmpty && CompletionShell.requesting == .zsh
            ? paths(beginningWith: folders[0] + "/") : []
        return folders.map { $0 + ending } + found + inside
    }

    private static func entries(_ folder: String) -> [String] {
        let path = folder.isEmpty ? "." : expanded(folder)
        return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }

    private static func exists(_ path: String, isFolder: inout Bool) -> Bool {
        let path = expanded(path)
        guard let type = try? FileManager.default.attributesOfItem(atPath: resolved(path))[.type]
        else { return false }
        isFolder = type as? FileAttributeType == .typeDirectory
        return true
    }

    /// A path whose ~ the shell has not replaced yet.
    private static func expanded(_ path: String) -> String {
        guard path.hasPrefix("~/"), let home = Environment["HOME"] else { return path }
        return home + path.dropFirst()
    }

    /// A word without the backslashes and the opening quotation mark that a shell needs.
    private static func unquoted(_ word: String) -> String {
        var text = ""
        var isEscaped = false
        for character in word.first == "\"" || word.first == "'" ? word.dropFirst() : word[...] {
            if character == "\\" && !isEscaped {
                isEscaped = true
            } else {
                text.append(character)
                isEscaped = false
            }
        }
        return text
    }
}

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
    /// Completes names of known and installed models, and paths of weights.
    static var model: CompletionKind {
        .custom { words, index, prefix in
            // fish 3 sometimes counts the cursor from the start of the line, which makes the prefix
            // wrong; the whole word is right, because fish completes at its end.
            let isFish = CompletionShell.requesting == .fish && words.indices.contains(index)
            return ModelCompletion.candidates(for: isFish ? words[index] : prefix)
        }
    }

    /// Completes names of models, without paths.
    static var modelName: CompletionKind { .custom { _, _, _ in ModelCompletion.names } }
}

/// The candidates for completing the name or path of a model.
enum ModelCompletion {
    /// The name `tiny`, the names of the models in `HubModel.all` (open_clip's, and OpenAI's if
    /// there is one), and the installed repositories.
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

    /// Returns the folders and files of weights whose paths begin with a prefix.
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
        // bash adds the slash by itself. zsh ends the word after a single candidate, so the content
        // of a single folder is offered too.
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

    /// Returns a path with a leading `~/` replaced by the home folder.
    private static func expanded(_ path: String) -> String {
        guard path.hasPrefix("~/"), let home = Environment["HOME"] else { return path }
        return home + path.dropFirst()
    }

    /// Returns a shell word without its opening quotation mark and its escaping backslashes.
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

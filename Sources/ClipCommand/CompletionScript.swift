import ArgumentParser

/// The completion scripts: those of ArgumentParser, with words that contain colons or equals signs
/// completed too.
enum CompletionScript {
    /// Returns the script that the arguments `--generate-completion-script SHELL` request; nil for
    /// other arguments.
    static func requested(by arguments: [String]) -> String? {
        let option = "--generate-completion-script"
        let words = arguments.flatMap {
            $0.hasPrefix(option + "=") ? [option, String($0.dropFirst(option.count + 1))] : [$0]
        }
        guard words.count == 2, words[0] == option, let shell = CompletionShell(rawValue: words[1])
        else { return nil }
        let commands = Clip.configuration.subcommands.map { $0._commandName }
        return mended(Clip.completionScript(for: shell), shell.rawValue, commands: commands)
    }

    /// Returns a script of ArgumentParser with additions for a shell.
    ///
    /// - Parameters:
    ///   - script: The script.
    ///   - shell: The name of the shell.
    ///   - commands: The names of the subcommands, which `clip help` completes.
    /// - Returns: The script to print.
    static func mended(_ script: String, _ shell: String, commands: [String]) -> String {
        let names = commands.joined(separator: " ")
        switch shell {
        case "bash":
            return script.replacing(
                "complete -o filenames -F _clip clip",
                with: """
                    \(joinedWords)
                    _clip_help() {
                        [[ "${COMP_CWORD}" -ne 2 ]] ||
                            COMPREPLY+=($(compgen -W '\(names)' -- "${cur}"))
                    }

                    complete -o filenames -F __clip_joined clip
                    """)
        case "zsh":
            return zsh(script)
                .replacing("'*:subcommands:'", with: "':subcommand:(\(names))'")
                .replacing(
                    "\n    compdef _clip clip",
                    with: """

                            # The script is sourced, perhaps before zsh's completion is set up.
                            (( ${+functions[compdef]} )) || { autoload -Uz compinit && compinit -i }
                            compdef _clip clip
                        """)
        case "fish":
            let condition = "__clip_should_offer_completions_for_positional \"clip help\" -eq 1"
            return script + "\ncomplete -c 'clip' -n '\(condition)' -fa '\(names)'"
        default: return script
        }
    }

    /// Returns the script for zsh with escaped colons in candidates, where zsh expects
    /// descriptions, and with options that accept `--option=value`.
    private static func zsh(_ script: String) -> String {
        let escaped = script.replacing(
            "non_empty_completions=(\"${@:#(|:*)}\")",
            with: "non_empty_completions=(\"${(@)${(@)@:#(|:*)}//:/\\\\:}\")")
        return escaped.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            // An option with a value: '--seed[...]:n:' or '(-t --top)'{-t,--top}'[...]:k:'.
            guard line.contains("]:"), let start = line.firstIndex(of: "[") else {
                return String(line)
            }
            let head = line[..<start]
            guard let name = head.split(whereSeparator: { "',{}*".contains($0) }).last,
                name.hasPrefix("--"), let end = head.ranges(of: name).last?.upperBound
            else { return String(line) }
            return line[..<end] + "=" + line[end...]
        }.joined(separator: "\n")
    }

    /// A bash function that joins the words that bash splits at colons and equals signs, and
    /// removes from the completions what bash has split off.
    private static let joinedWords = #"""
        __clip_joined() {
            local line="${COMP_LINE}" word gap joined='' previous=''
            local -a words=()
            local -i index place=0 last=-1 current=0
            for ((index = 0; index < ${#COMP_WORDS[@]}; index++)); do
                word="${COMP_WORDS[index]}"
                gap="${line:place}"
                gap="${gap%%[![:space:]]*}"
                place+=${#gap}
                if [[ index -gt 0 && -z "${gap}" ]] &&
                    [[ "${word}" =~ ^[:=]+$ || "${previous}" =~ ^[:=]+$ ]]; then
                    if [[ "${word}" = '=' && "${words[last]}" =~ ^--[^:=]+$ ]]; then
                        # --option=value is an option and its value.
                        line="${line:0:place} ${line:place+1}"
                        words+=('')
                    else
                        words[last]+="${word}"
                    fi
                else
                    words+=("${word}")
                fi
                last=$((${#words[@]} - 1))
                place+=${#word}
                previous="${word}"
                if [[ index -eq COMP_CWORD ]]; then
                    current="${last}"
                    joined="${words[current]}"
                    word="${2}"
                    [[ "${previous}" =~ ^[:=]+$ ]] && word='' || joined="${joined%"${previous}"}"
                    local -r before="${joined}" cur="${joined}${word}"
                fi
            done
            local -a COMP_WORDS=("${words[@]}")
            local COMP_CWORD="${current}" COMP_LINE="${line}"
            _clip "${1}" "${cur}" "${words[current - 1]}"
            trap - RETURN
            COMPREPLY=("${COMPREPLY[@]#"${before}"}")
            [[ "${before}" != *\\* ]] || COMPREPLY=("${COMPREPLY[@]#"${before//\\/}"}")
        }
        """#
}

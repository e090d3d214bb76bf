#!/usr/bin/env bash
# Checks the completions of clip in bash, zsh and fish, if they are installed:
#
#     Scripts/completions.sh [CLIP [SHELL...]]
#
# Each shell loads its script and completes command lines in a folder with a few files.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
clip=$(realpath "${1:-$root/.build/debug/clip}")
shift || true
shells=("${@:-}")
[ -n "${shells[0]}" ] || shells=(bash zsh fish)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/here/ex/models" "$work/home"
cp "$clip" "$work/bin/clip"
cd "$work/here"
touch ex/bike.jpg ex/dog.jpg ex/weights.safetensors ex/notes.txt labels.txt vectors.npy
export PATH=$work/bin:$PATH HOME=$work/home
unset CLIP_MODEL CLIP_HOME HF_HOME HF_HUB_CACHE

# A command line, then expected completions, and after a ! unwanted ones.
cases=(
    'clip zeroshot ex/bi|ex/bike.jpg|!ex/dog.jpg'
    'clip encode ex/|ex/bike.jpg ex/dog.jpg'
    'clip index e|ex|!labels.txt'
    'clip dedupe --move-to e|ex|!labels.txt'
    'clip encode --model ex/|ex/weights.safetensors ex/models|!ex/notes.txt'
    'clip encode --model ViT-B/|ViT-B/32 ViT-B/16|!ViT-L/14'
    'clip pull ViT-L/|ViT-L/14|!ViT-B/32'
    'clip info ex/w|ex/weights.safetensors'
    'clip zeroshot --labels l|labels.txt'
    'clip cluster v|vectors.npy|!labels.txt'
    'clip zeroshot --precision |fp32 bf16 int8|!labels.txt'
    'clip similarity --image ex/b|ex/bike.jpg'
    'clip similarity --image ex/bike.jpg ex/d|ex/dog.jpg'
    'clip verify --as ViT-B/3|ViT-B/32'
    'clip eval --classes l|labels.txt'
    'clip eval --dataset_root e|ex|!labels.txt'
    'clip serve --index e|ex|!labels.txt'
    'clip serve --log |text json none|!labels.txt'
)

# complete_in SHELL LINE: prints the completions, one per line.
complete_in() {
    case $1 in
    bash)
        bash --norc -c '
            source "$1"
            COMP_LINE=$2 COMP_POINT=${#2}
            read -ra COMP_WORDS <<<"$2"
            [ "${2: -1}" != " " ] || COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _clip clip "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf "%s\n" "${COMPREPLY[@]}"' bash "$work/clip.bash" "$2"
        ;;
    fish)
        # The completions of fish depend on its command line, which exists only at a terminal.
        rm -f "$work"/{done,offered}
        {
            printf 'complete -C "%s" >%s/offered; touch %s/done; exit\n' "$2" "$work" "$work"
            for _ in $(seq 300); do [ -e "$work/done" ] && break || sleep 0.1; done
        } | script -qec "fish --no-config -C 'source $work/clip.fish'" /dev/null >/dev/null
        cut -f 1 "$work/offered"
        ;;
    zsh)
        # A zsh at its own terminal; compadd receives all completions.
        cat >"$work/zshrc" <<'END'
unset zle_bracketed_paste
PROMPT= RPROMPT=
fpath=($WORK/functions $fpath)
autoload -Uz compinit
compinit -u -d $WORK/zcompdump
zstyle ':completion:*' completer _complete
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a offered
    builtin compadd -A offered "$@"
    local -a prefix
    zparseopts -E -a ignored P: p:=prefix
    print -rl -- $IPREFIX${prefix[2]}${^offered} >>$WORK/offered
    builtin compadd "$@"
}
report() {
    zle complete-word
    print -r -- "line $BUFFER" >>$WORK/offered
    : >$WORK/done
    BUFFER=
}
zle -N report
bindkey '^X' report
: >$WORK/ready
END
        rm -f "$work"/{ready,done,offered}
        WORK=$work LINE=$2 zsh -f -c '
            zmodload zsh/zpty
            zpty shell "ZDOTDIR=$WORK/empty WORK=$WORK zsh -d -f -i"
            zpty -w shell "source $WORK/zshrc"
            for wait in {1..300}; do
                [[ -e $WORK/ready ]] && break
                zpty -r -t shell ignored; sleep 0.1
            done
            sleep 0.2
            zpty -w -n shell "$LINE"$'"'\\x18'"'
            for wait in {1..300}; do
                [[ -e $WORK/done ]] && break
                zpty -r -t shell ignored; sleep 0.1
            done
            zpty -d shell' >"$work/zsh.log" 2>&1 || true
        # A single match is inserted into the line.
        sed -n 's/^line .* //p; /^line /!p' "$work/offered" 2>/dev/null
        sed -n 's/^line .* \([^ ][^ ]*\) $/\1/p' "$work/offered" 2>/dev/null
        ;;
    esac
}

failures=0
for shell in "${shells[@]}"; do
    if ! command -v "$shell" >/dev/null; then
        echo "$shell is not installed"
        continue
    fi
    "$clip" --generate-completion-script "$shell" >"$work/clip.$shell"
    if [ "$shell" = zsh ]; then
        mkdir -p "$work/functions" "$work/empty"
        cp "$work/clip.zsh" "$work/functions/_clip"
    fi
    for case in "${cases[@]}"; do
        IFS='|' read -r line wanted unwanted <<<"$case"
        [ "$wanted" = "${wanted%% }" ] || wanted=${wanted%% }
        found=$(complete_in "$shell" "$line")
        for word in $wanted; do
            if ! grep -qxF -e "$word" -e "$word/" <<<"$found"; then
                echo "$shell: \"$line\" does not offer $word, but:" $found
                failures=$((failures + 1))
            fi
        done
        if [ -n "$unwanted" ] && grep -qxF -e "${unwanted#!}" <<<"$found"; then
            echo "$shell: \"$line\" offers ${unwanted#!}"
            failures=$((failures + 1))
        fi
    done
    echo "$shell: ${#cases[@]} command lines"
done
[ "$failures" = 0 ] || exit 1

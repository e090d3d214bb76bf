#!/usr/bin/env bash
# Checks the completions of clip in bash, zsh and fish, if they are installed:
#
#     Scripts/completions.sh [CLIP [SHELL...]]
#     Scripts/completions.sh --installed [SHELL...]
#
# Each shell loads the script that CLIP prints, or with --installed finds the script of the
# installed clip by itself, and completes command lines in a folder with a few files.
set -euo pipefail
is_installed=
if [ "${1:-}" = --installed ]; then
    is_installed=1
    clip=$(command -v clip)
else
    root=$(cd "$(dirname "$0")/.." && pwd)
    clip=$(realpath "${1:-$root/.build/debug/clip}")
fi
shift || true
shells=("${@:-}")
[ -n "${shells[0]}" ] || shells=(bash zsh fish)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/here/ex/models" "$work/here/ex/more models" "$work/home"
[ -n "$is_installed" ] || cp "$clip" "$work/bin/clip"
cd "$work/here"
touch ex/a:b.jpg 'ex/more images.jpg' classes.csv classes.probe.safetensors log.jsonl out.html
touch ex/bike.jpg ex/dog.jpg ex/weights.safetensors ex/notes.txt labels.txt vectors.npy
touch rows.parquet
export PATH=$work/bin:$PATH HOME=$work/home
unset CLIP_MODEL CLIP_HOME HF_HOME HF_HUB_CACHE

# A command line, then expected completions, and after a ! unwanted ones. A + stands for a blank.
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
    'clip export r|rows.parquet|!labels.txt'
    'clip export . --to |parquet pgvector qdrant sqlite-vec faiss clip-retrieval|!labels.txt'
    'clip zeroshot --precision |fp32 bf16 int8|!labels.txt'
    'clip similarity --image ex/b|ex/bike.jpg'
    'clip similarity --image ex/bike.jpg ex/d|ex/dog.jpg'
    'clip verify --as ViT-B/3|ViT-B/32'
    'clip eval --classes l|labels.txt'
    'clip eval --dataset_root e|ex|!labels.txt'
    'clip serve --index e|ex|!labels.txt'
    'clip serve --log |text json none|!labels.txt'
    'clip se|search serve|!encode'
    'clip help se|search serve|!encode'
    'clip serve --allow-|--allow-host --allow-urls|!--cors'
    'clip serve --api-key-file l|labels.txt'
    'clip serve --model ViT-B/|ViT-B/32'
    'clip serve --engine |native blas blas-fast|!labels.txt'
    'clip serve --host |.|!labels.txt'
    'clip eval c|classes.csv'
    'clip eval --task |auto zeroshot_classification zeroshot_retrieval|!labels.txt'
    'clip eval --probe c|classes.probe.safetensors|!classes.csv'
    'clip eval --report o|out.html|!classes.csv'
    'clip probe t|train'
    'clip probe train c|classes.csv'
    'clip probe train --method |linear zslinear tip|!labels.txt'
    'clip probe train --model ViT-L/|ViT-L/14'
    'clip zeroshot --probe c|classes.probe.safetensors|!classes.csv'
    'clip convert ti|tiny'
    'clip convert tiny c|classes.probe.safetensors|!classes.csv'
    'clip convert --dtype |f32 f16 bf16|!labels.txt'
    'clip merge tiny ViT-B/|ViT-B/32'
    'clip dedupe --undo l|log.jsonl|!labels.txt'
    'clip bench --tower |image text preprocess search|!labels.txt'
    'clip encode ex/more|ex/more+images.jpg'
    'clip encode ex/a|ex/a:b.jpg'
    'clip info ex/mo|ex/models ex/more+models'
    'clip pull ViT-B-32:op|ViT-B-32:openai'
    'clip encode --model ViT-B-32:op|ViT-B-32:openai'
    'clip encode --model ViT-B-32:openai ex/b|ex/bike.jpg'
    'clip verify --as ViT-SO400M-16-SigLIP2-256:|ViT-SO400M-16-SigLIP2-256:webli'
    'clip encode --model=ViT-L/|ViT-L/14'
    'clip zeroshot --precision=b|bf16|!labels.txt'
    'clip zeroshot --labels=l|labels.txt'
)

# Completes all command lines in one bash at a terminal: readline inserts the completions into the
# line, and the line is written to a file.
complete_in_bash() {
    {
        echo 'PS1= count=0; unset HISTFILE; set +o history'
        if [ -z "$is_installed" ]; then
            echo "source '$work/clip.bash'"
        elif [ -r /usr/share/bash-completion/bash_completion ]; then
            echo 'source /usr/share/bash-completion/bash_completion'
        else
            echo 'source /usr/share/bash-completion/completions/clip'
        fi
        cat <<END
bind 'set enable-bracketed-paste off'
bind '"\C-xi": insert-completions'
report() {
    printf '%s\n' "\$READLINE_LINE" >$work/line.\$count
    READLINE_LINE= count=\$((count + 1))
    touch $work/done.\$count
}
bind -x '"\C-xp": report'
touch $work/done.0
END
    } >"$work/bashrc"
    {
        await "$work/done.0"
        for count in "${!cases[@]}"; do
            printf '%s\030i\030p' "${cases[count]%%|*}"
            await "$work/done.$((count + 1))"
        done
        printf 'exit\r'
    } | script -qec "bash --noprofile --rcfile $work/bashrc -i" /dev/null >"$work/bash.log" 2>&1
}

# Waits for a file for at most 30 seconds.
await() {
    local wait
    for wait in {1..600}; do
        [ -e "$1" ] && return
        sleep 0.05
    done
}

# complete_in SHELL LINE NUMBER: prints the completions, one per line.
complete_in() {
    case $1 in
    bash)
        [ -e "$work/line.$3" ] || { echo "no answer, see $work/bash.log"; return; }
        # The words of the line behind those that were typed; the first may be --option=word.
        bash -c '
            set -f
            eval "typed=($1)" && eval "words=($2)"
            count=${#typed[@]}
            [ "${1: -1}" = " " ] || count=$((count - 1))
            words=("${words[@]:count}")
            printf "%s\n" "${words[@]}" "${words[0]#--*=}"' bash "$2" "$(cat "$work/line.$3")"
        ;;
    fish)
        # The completions of fish depend on its command line, which exists only at a terminal.
        rm -f "$work"/{done,offered}
        {
            printf 'complete -C "%s" >%s/offered; touch %s/done; exit\n' "$2" "$work" "$work"
            for _ in $(seq 300); do [ -e "$work/done" ] && break || sleep 0.1; done
        } | script -qec "fish $fish_options" /dev/null >/dev/null
        # An option and its value are one word.
        cut -f 1 "$work/offered" | sed 'p; s/^--[a-z_-]*=//'
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
    print -rl -- ${(Q)${:-$IPREFIX${prefix[2]}}}${(Q)^offered} >>$WORK/offered
    builtin compadd "$@"
}
report() {
    zle complete-word
    print -r -- "line ${(Q)${(z)BUFFER}[-1]}" >>$WORK/offered
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
        # A single match is inserted into the line. An option and its value are one word.
        sed 's/^line //; s/\\\(.\)/\1/g; p; s/^--[a-z_-]*=//' "$work/offered" 2>/dev/null || true
        ;;
    esac
}

fish_options=
[ -n "$is_installed" ] || fish_options="--no-config -C 'source $work/clip.fish'"
failures=0
for shell in "${shells[@]}"; do
    if ! command -v "$shell" >/dev/null; then
        echo "$shell is not installed"
        continue
    fi
    if [ -n "$is_installed" ]; then
        case $shell in
        bash) places=(/usr/share/bash-completion/completions) file=clip ;;
        zsh) file=_clip && mapfile -t places < <(zsh -fc 'print -rl -- $fpath') ;;
        fish)
            file=clip.fish
            mapfile -t places < <(fish -c 'printf "%s\n" $fish_complete_path')
            ;;
        esac
        found=
        for place in "${places[@]}"; do [ ! -r "$place/$file" ] || found=$place/$file; done
        if [ -z "$found" ]; then
            echo "$shell: $file is in none of the folders ${places[*]:0:8}"
            failures=$((failures + 1))
            continue
        fi
    else
        "$clip" --generate-completion-script "$shell" >"$work/clip.$shell"
    fi
    if [ "$shell" = zsh ]; then
        mkdir -p "$work/functions" "$work/empty"
        [ -n "$is_installed" ] || cp "$work/clip.zsh" "$work/functions/_clip"
    fi
    [ "$shell" != bash ] || complete_in_bash
    for number in "${!cases[@]}"; do
        IFS='|' read -r line wanted unwanted <<<"${cases[number]}"
        found=$(complete_in "$shell" "$line" "$number")
        for word in $wanted; do
            word=${word//+/ }
            [ "$word" != . ] || continue
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

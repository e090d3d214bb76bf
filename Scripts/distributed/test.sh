#!/usr/bin/env bash
# Compares clip with the software that large collections need: Spark, PostgreSQL with pgvector,
# Qdrant, faiss, autofaiss, SQLite, and readers of Parquet. Not part of the tests of a change.
#
#     Scripts/distributed/test.sh --clip CLIP --weights FILE [OPTION...] [PART...]
#
# PART is spark, pgvector, qdrant, faiss, clip-retrieval, sqlite-vec or parquet; all by default.
#   --clip CLIP       the command to test
#   --weights FILE    a model: a file of weights, a folder or a name
#   --images N        the images for Spark, of which one in 100 is broken [20000]
#   --vectors N       the vectors of the other parts [100000; 20000 for qdrant, clip-retrieval and
#                     parquet]
#   --work FOLDER     the folder for images, vectors and logs [~/.cache/swift-clip/distributed]
#   --venv FOLDER     the folder for the Python environments [~/.cache/swift-clip/venv-distributed]
#
# Needs Python 3.11, Java 17, and 10 GB of disk. Installs pinned packages (requirements.txt,
# autofaiss.txt) into environments of its own. Servers listen on 127.0.0.1 and 127.0.0.2 (Spark,
# ports 17070 to 17130) or a Unix socket (PostgreSQL), and are ended by their ids.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() {
    sed -n '5,18s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

clip= weights= images=20000 vectors= parts=()
cache=${XDG_CACHE_HOME:-$HOME/.cache}/swift-clip
work=$cache/distributed
venv=$cache/venv-distributed
while [ $# -gt 0 ]; do
    case $1 in
    --clip | --weights | --images | --vectors | --work | --venv)
        [ $# -ge 2 ] || usage
        printf -v "${1#--}" %s "$2"
        shift 2
        ;;
    spark | pgvector | qdrant | faiss | clip-retrieval | sqlite-vec | parquet)
        parts+=("$1")
        shift
        ;;
    *) usage ;;
    esac
done
[ -n "$clip" ] && [ -n "$weights" ] || usage
[ ${#parts[@]} -gt 0 ] ||
    parts=(spark pgvector qdrant faiss clip-retrieval sqlite-vec parquet)

# environment FOLDER REQUIREMENTS: makes a Python environment, unless it is complete.
environment() {
    cmp -s "$2" "$1/requirements.txt" && return
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --upgrade pip
    "$1/bin/pip" install --quiet -r "$2"
    cp "$2" "$1/requirements.txt"
}

failed=()
# part NAME ENVIRONMENT SCRIPT OPTION...: runs a part, and notes a failure.
part() {
    local name=$1 python=$2/bin/python script=$here/$3
    shift 3
    printf '\n== %s\n' "$name"
    "$python" "$script" --clip "$clip" --weights "$weights" --work "$work" "$@" ||
        failed+=("$name")
}

environment "$venv" "$here/requirements.txt"
for name in "${parts[@]}"; do
    few=(--vectors "${vectors:-20000}")
    many=(--vectors "${vectors:-100000}")
    case $name in
    spark)
        java -version 2>/dev/null || { echo "test.sh: Spark needs Java 17" >&2 && exit 1; }
        (cd "$here/../../Distributed" && "$venv/bin/python" -m unittest discover tests)
        part spark "$venv" spark_jobs.py --images "$images" --broken $((images / 100))
        ;;
    pgvector) part pgvector "$venv" postgres_pgvector.py "${many[@]}" ;;
    qdrant) part qdrant "$venv" qdrant_batches.py "${few[@]}" ;;
    faiss) part faiss "$venv" faiss_file.py "${many[@]}" ;;
    clip-retrieval)
        environment "$venv-autofaiss" "$here/autofaiss.txt"
        part clip-retrieval "$venv-autofaiss" retrieval_folder.py "${few[@]}"
        ;;
    sqlite-vec) part sqlite-vec "$venv" sqlite_vec_script.py "${many[@]}" ;;
    parquet) part parquet "$venv" parquet_readers.py "${few[@]}" ;;
    esac
done

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nfailed: %s\n' "${failed[*]}" >&2
    exit 1
fi
printf '\nall parts passed\n'

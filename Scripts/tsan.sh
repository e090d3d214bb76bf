#!/usr/bin/env bash
# Runs tests under ThreadSanitizer, and fails if it reports a race.
#   Scripts/tsan.sh [FILTER]     default: the tests that use one object from many threads
# ThreadSanitizer does not see the lock in the standard library's Mutex and would report everything
# that it guards. So a copy of the sources is built in which Mutex is a POSIX lock.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(realpath -m "${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/clip-tsan}")
shared='SharedUseTests|EncodingStreamTests|IdleStreamTests|SharingTests|HubSharingTests'
shared+='|BatchQueueTests|ModelPoolTests|ServedModelTests'
shared+='|teamServesConcurrentCallers|poolLimitsConcurrentCalls'
filter=${1:-$shared}
. Scripts/packages.sh
install_packages

copy=$work/sources
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z | xargs -0 cp --parents --preserve=timestamps -t "$copy"
grep -lrw Mutex "$copy/Sources" "$copy/Tests" --include=*.swift | while read -r file; do
    sed -i --follow-symlinks 's/\bMutex\b/VisibleMutex/g' "$file"
    [[ $file == */Sources/* ]] && access='internal ' || access=''
    module=${file#"$copy"/}
    module=$copy/$(cut -d/ -f1,2 <<<"$module")
    cat >"$module/VisibleMutex.swift" <<SWIFT
${access}import Foundation

final class VisibleMutex<Value>: @unchecked Sendable {
    private let lock = NSLock()
    // A value without a size, such as (), would have the address of what follows it.
    private var value: (Value, UInt8)
    init(_ value: sending Value) { self.value = (value, 0) }
    borrowing func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value.0)
    }
    borrowing func withLockIfAvailable<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard lock.try() else { return nil }
        defer { lock.unlock() }
        return try body(&value.0)
    }
}
SWIFT
done

log=$work/log
TSAN_OPTIONS=halt_on_error=0 swift test --package-path "$copy" --scratch-path "$work/build" \
    --sanitize=thread --filter "$filter" >"$log" 2>&1 || true
grep -E '^(SUMMARY|✘|error:|.* error: )' "$log" | sort | uniq -c || true
tail -n 2 "$log"
grep -q 'Test run with [1-9].* passed' "$log" && ! grep -q 'WARNING: ThreadSanitizer' "$log"

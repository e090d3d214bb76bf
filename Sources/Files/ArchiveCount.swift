/// The file that states the number of archives of a data set's split, in CLIP_benchmark's layout.
package enum ArchiveCount {
    /// The name of the file, which is in the folder of the split.
    package static let fileName = "nshards.txt"
    /// The accepted numbers of archives.
    package static let range = 1...1_000_000
}

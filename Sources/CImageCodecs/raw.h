// Declarations that the readers of RAW files share.

#ifndef RAW_H
#define RAW_H

#include "codecs.h"

// An embedded file: a part of the RAW file. It may go on after its end.
typedef struct {
    uint64_t offset, length;
} raw_part;

enum { RAW_PARTS = 64, RAW_DIRECTORIES = 64 };

// The results of scanning a RAW file.
typedef struct {
    const uint8_t *bytes;
    size_t count;
    bool is_raw;
    // True if a directory or header goes on after the end of the file.
    bool is_cut;
    // The parts that may be JPEG previews.
    raw_part parts[RAW_PARTS];
    int part_count;
    // The orientation of the first directory; 0 if it has none.
    int orientation;
    // The number of directories that were read, at most RAW_DIRECTORIES.
    int directories;
} raw_file;

// Adds a part that may be a JPEG.
void clip_raw_add(raw_file *file, uint64_t offset, uint64_t length);

// Scans a TIFF file or a file of similar structure, and tells whether it is RAW.
void clip_raw_scan_tiff(raw_file *file);
// Scans a CR3 file.
void clip_raw_scan_boxes(raw_file *file);

#endif

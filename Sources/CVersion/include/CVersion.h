// The version of the source code that was built.

#ifndef CVERSION_H
#define CVERSION_H

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// Returns the hash of the commit that was built, with a + appended if the working tree differed
// from the commit; "" if the commit is unknown.
const char *clip_commit(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif

// HTTP by libcurl, which is looked for when the first request is made: a program that asks for nothing
// neither links nor loads it. No function runs the caller's code; a response is read like a file.

#ifndef CHTTP_H
#define CHTTP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#define CLIP_NULLABLE _Nullable
#else
#define CLIP_NULLABLE
#endif

typedef struct clip_http_response clip_http_response;

typedef enum {
    CLIP_HTTP_OK = 0,
    CLIP_HTTP_WAITING,      // nothing has come yet; ask again
    CLIP_HTTP_END,          // the whole response has been read
    CLIP_HTTP_FAILED,       // clip_http_message says why
} clip_http_result;

// Whether libcurl is there.
int clip_http_is_available(void);

// The version of libcurl and of what it uses, such as "libcurl/7.88.1 OpenSSL/3.0"; NULL if it is missing.
const char *CLIP_NULLABLE clip_http_version(void);

// Begins a GET (or HEAD) of a URL with header lines ("Name: value", each ended by a line feed) beside
// libcurl's own. Redirects are not followed. Fails if no connection is made, or nothing comes, for so many seconds.
// Where `authority_file` or `authority_folder` is given, the certificates there are trusted instead of the system's.
// NULL if there is no libcurl, no memory, or libcurl does not take one of these.
clip_http_response *CLIP_NULLABLE clip_http_begin(const char *url, int head, const char *headers,
                                                  long stall_seconds,
                                                  const char *CLIP_NULLABLE authority_file,
                                                  const char *CLIP_NULLABLE authority_folder);

// Waits up to a fifth of a second for the next bytes of the body. *count becomes how many were put
// into `buffer`. The status and headers are known as soon as the result is not CLIP_HTTP_WAITING.
clip_http_result clip_http_read(clip_http_response *response, uint8_t *buffer, size_t capacity,
                                size_t *count);

// The status of the response, 0 before its whole header is there.
long clip_http_status(const clip_http_response *response);

// The lines of its header, each ended by a line feed.
const char *clip_http_headers(const clip_http_response *response);

// 1 if it failed because the server's certificate is not trusted, or the trusted ones cannot be read.
int clip_http_is_untrusted(const clip_http_response *response);

// What went wrong.
const char *clip_http_message(const clip_http_response *response);

void clip_http_end(clip_http_response *response);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif

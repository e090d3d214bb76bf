// An HTTP client with libcurl, which is loaded at the first request: a program that makes no
// request neither links nor loads it. There are no callbacks; a response is read like a file. A
// response may be used by one thread at a time, different responses by several threads at once.

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
    CLIP_HTTP_WAITING,      // no bytes have arrived yet; call again
    CLIP_HTTP_END,          // the whole response has been read
    CLIP_HTTP_FAILED,       // clip_http_message has the reason
} clip_http_result;

// Returns 1 if libcurl is installed, and loads it.
int clip_http_is_available(void);

// Returns the versions of libcurl and its libraries, such as "libcurl/7.88.1 OpenSSL/3.0"; NULL if
// libcurl is not installed.
const char *CLIP_NULLABLE clip_http_version(void);

// Begins a GET (or HEAD) request with header lines ("Name: value", each ended by a line feed) in
// addition to libcurl's own. Redirects are not followed. The request fails if there is no
// connection, or no byte arrives, for `stall_seconds`. The certificates in `authority_file` or
// `authority_folder`, if given, are trusted instead of the system's. Returns NULL if libcurl is not
// installed, memory runs out, or libcurl rejects an argument.
//
// If `public_only` is 1, no connection is made to an address that clip_http_is_public rejects, nor
// to one of this machine or of the networks of its interfaces, whatever a name resolves to; and no
// proxy is used.
clip_http_response *CLIP_NULLABLE clip_http_begin(const char *url, int head, const char *headers,
                                                  long stall_seconds, int public_only,
                                                  const char *CLIP_NULLABLE authority_file,
                                                  const char *CLIP_NULLABLE authority_folder);

// Returns 1 if an IPv4 or IPv6 address in text belongs to a host of the public internet; 0 for
// loopback, private, link-local, shared, reserved, documentation and multicast addresses, IPv6
// addresses that embed one of these, and other text.
int clip_http_is_public(const char *address);

// Waits up to 0.2 seconds for the next bytes of the body, and stores at most `capacity` of them in
// `buffer` and their number in *count. The status and headers are known once the result is
// CLIP_HTTP_OK or CLIP_HTTP_END.
clip_http_result clip_http_read(clip_http_response *response, uint8_t *buffer, size_t capacity,
                                size_t *count);

// Returns the status of the response; 0 until its header is complete.
long clip_http_status(const clip_http_response *response);

// Returns the header lines of the response, each ended by a line feed.
const char *clip_http_headers(const clip_http_response *response);

// Returns 1 if the request failed because the server's certificate is not trusted or the trusted
// certificates cannot be read.
int clip_http_is_untrusted(const clip_http_response *response);

// Returns 1 if the request failed because of `public_only`.
int clip_http_is_private(const clip_http_response *response);

// Returns libcurl's reason for CLIP_HTTP_FAILED.
const char *clip_http_message(const clip_http_response *response);

// Closes the connection and frees the response.
void clip_http_end(clip_http_response *response);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif

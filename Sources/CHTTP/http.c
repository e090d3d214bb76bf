#define _POSIX_C_SOURCE 200809L  // signal masks

#include "CHTTP.h"
#include "public_address.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// MARK: libcurl, loaded at run time

static struct {
    int is_there;
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*easy_pause)(CURL *, int);
    const char *(*easy_strerror)(CURLcode);
    void (*easy_cleanup)(CURL *);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_perform)(CURLM *, int *);
    CURLMcode (*multi_wait)(CURLM *, struct curl_waitfd *, unsigned int, int, int *);
    // Since 7.66; unlike multi_wait it also waits if there is no descriptor yet.
    CURLMcode (*multi_poll)(CURLM *, struct curl_waitfd *, unsigned int, int, int *);
    CURLMsg *(*multi_info_read)(CURLM *, int *);
    CURLMcode (*multi_cleanup)(CURLM *);
    char *(*version)(void);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
} curl;

static void load(void) {
#if defined(__APPLE__)
    static const char *const names[] = {"libcurl.4.dylib"};
#else
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
#endif
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    int found = 1;
#define FIND(name) \
    found &= (*(void **)&curl.name = dlsym(library, "curl_" #name)) != NULL
    FIND(global_init);
    FIND(easy_init);
    FIND(easy_setopt);
    FIND(easy_getinfo);
    FIND(easy_pause);
    FIND(easy_strerror);
    FIND(easy_cleanup);
    FIND(multi_init);
    FIND(multi_add_handle);
    FIND(multi_remove_handle);
    FIND(multi_perform);
    FIND(multi_wait);
    FIND(version);
    FIND(multi_info_read);
    FIND(multi_cleanup);
    FIND(slist_append);
    FIND(slist_free_all);
#undef FIND
    *(void **)&curl.multi_poll = dlsym(library, "curl_multi_poll");
    if (curl.multi_poll == NULL) curl.multi_poll = curl.multi_wait;
    curl.is_there = found && curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int clip_http_is_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return curl.is_there;
}

const char *clip_http_version(void) {
    return clip_http_is_available() ? curl.version() : NULL;
}

// MARK: signals

// The libraries that libcurl uses may raise SIGPIPE when the server closes a connection, which
// would end the process. The signal is blocked for this thread, and discarded if it was raised
// meanwhile.
typedef struct {
    sigset_t before;
    int was_pending;
} held_signal;

static held_signal hold_sigpipe(void) {
    held_signal held;
    sigset_t pending, pipe;
    sigpending(&pending);
    held.was_pending = sigismember(&pending, SIGPIPE);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &held.before);
    return held;
}

static void release_sigpipe(held_signal held) {
    sigset_t pending, pipe;
    sigpending(&pending);
    if (!held.was_pending && sigismember(&pending, SIGPIPE)) {
        int signal;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigwait(&pipe, &signal);
    }
    pthread_sigmask(SIG_SETMASK, &held.before, NULL);
}

// MARK: responses

enum { HEADER_LIMIT = 1 << 16 };

// libcurl 7.85 replaced the first of these options by the second. The numbers are here because the
// header and the library that is loaded may be older or newer.
enum { PROTOCOLS = 181, PROTOCOLS_STR = 10318 };

// The certificates of a proxy that is reached by TLS; since 7.52.
enum { PROXY_CAINFO = 10246, PROXY_CAPATH = 10247 };

struct clip_http_response {
    CURL *easy;
    CURLM *multi;
    struct curl_slist *request_headers;
    char error[CURL_ERROR_SIZE];
    // The bytes that libcurl delivered and the caller has not read. There is at most one piece:
    // while it is not read, the transfer is paused.
    uint8_t *body;
    size_t body_count, body_start;
    int is_paused;
    char *headers;
    size_t header_count;
    int has_headers;  // 1 once the empty line after the headers has arrived
    int is_private;  // 1 if connections were prevented because their addresses are not public
    int has_public;  // 1 if an address was public
    int is_done;
    CURLcode outcome;
};

// Opens the socket of a connection, to public addresses only. libcurl calls this after it has
// resolved the name, so the checked address is the one that is connected to.
static curl_socket_t open_public(void *context, curlsocktype purpose, struct curl_sockaddr *to) {
    clip_http_response *response = context;
    if (purpose != CURLSOCKTYPE_IPCXN || !clip_is_public_address(&to->addr)) {
        response->is_private = 1;
        return CURL_SOCKET_BAD;
    }
    response->has_public = 1;
#if defined(SOCK_CLOEXEC)
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
#else
    return socket(to->family, to->socktype, to->protocol);
#endif
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context) {
    clip_http_response *response = context;
    if (response->body_start < response->body_count) {
        response->is_paused = 1;
        return CURL_WRITEFUNC_PAUSE;
    }
    size_t total = size * count;
    uint8_t *body = realloc(response->body, total + 1);
    if (body == NULL) return 0;
    memcpy(body, bytes, total);
    response->body = body;
    response->body_count = total;
    response->body_start = 0;
    return total;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context) {
    clip_http_response *response = context;
    size_t total = size * count, length = total;
    // A new status line begins a new response (after 100 Continue, or a proxy's).
    if (total > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        response->header_count = 0;
        response->has_headers = 0;
    }
    while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r')) length--;
    if (length == 0) response->has_headers = 1;
    if (response->header_count + length + 2 > HEADER_LIMIT) return 0;
    char *headers = realloc(response->headers, response->header_count + length + 2);
    if (headers == NULL) return 0;
    memcpy(headers + response->header_count, bytes, length);
    response->header_count += length;
    headers[response->header_count++] = '\n';
    headers[response->header_count] = 0;
    response->headers = headers;
    return total;
}

// Adds header lines to libcurl's list; 0 if memory runs out or a line is too long.
static int add_headers(clip_http_response *response, const char *headers) {
    char line[4096];
    while (*headers != 0) {
        size_t length = strcspn(headers, "\n");
        if (length >= sizeof line) return 0;
        memcpy(line, headers, length);
        line[length] = 0;
        struct curl_slist *list = curl.slist_append(response->request_headers, line);
        if (list == NULL) return 0;
        response->request_headers = list;
        headers += length + (headers[length] == '\n');
    }
    return 1;
}

clip_http_response *clip_http_begin(const char *url, int head, const char *headers,
                                    long stall_seconds, int public_only,
                                    const char *authority_file, const char *authority_folder) {
    if (!clip_http_is_available()) return NULL;
    clip_http_response *response = calloc(1, sizeof *response);
    if (response == NULL) return NULL;
    response->easy = curl.easy_init();
    response->multi = curl.multi_init();
    int ok = response->easy != NULL && response->multi != NULL && add_headers(response, headers);
    if (!ok) {
        clip_http_end(response);
        return NULL;
    }
#define SET(option, value) ok &= curl.easy_setopt(response->easy, option, value) == CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_NOBODY, (long)(head != 0));
    SET(CURLOPT_HTTPHEADER, response->request_headers);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, stall_seconds);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, stall_seconds);
    SET(CURLOPT_ERRORBUFFER, response->error);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, (void *)response);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, (void *)response);
    if (curl.easy_setopt(response->easy, (CURLoption)PROTOCOLS_STR, "http,https") != CURLE_OK)
        SET((CURLoption)PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    if (public_only) {
        SET(CURLOPT_OPENSOCKETFUNCTION, open_public);
        SET(CURLOPT_OPENSOCKETDATA, (void *)response);
        // A proxy would connect to addresses that are not seen here.
        SET(CURLOPT_PROXY, "");
    }
    if (authority_file != NULL || authority_folder != NULL) {
        // Set both, because libcurl keeps its built-in default for the one that is not set.
        SET(CURLOPT_CAINFO, authority_file);
        CURLcode folder = curl.easy_setopt(response->easy, CURLOPT_CAPATH, authority_folder);
        ok &= folder == CURLE_OK || authority_folder == NULL;
        curl.easy_setopt(response->easy, (CURLoption)PROXY_CAINFO, authority_file);
        curl.easy_setopt(response->easy, (CURLoption)PROXY_CAPATH, authority_folder);
    }
#undef SET
    if (!ok || curl.multi_add_handle(response->multi, response->easy) != CURLM_OK) {
        clip_http_end(response);
        return NULL;
    }
    return response;
}

clip_http_result clip_http_read(clip_http_response *response, uint8_t *buffer, size_t capacity,
                                size_t *count) {
    *count = 0;
    if (response->body_start == response->body_count && !response->is_done) {
        held_signal held = hold_sigpipe();
        if (response->is_paused) {
            response->is_paused = 0;
            curl.easy_pause(response->easy, CURLPAUSE_CONT);
        }
        int running = 0;
        CURLMcode result = curl.multi_perform(response->multi, &running);
        if (result == CURLM_OK && running && response->body_start == response->body_count) {
            result = curl.multi_poll(response->multi, NULL, 0, 200, NULL);
            if (result == CURLM_OK) result = curl.multi_perform(response->multi, &running);
        }
        if (result != CURLM_OK) {
            response->is_done = 1;
            response->outcome = CURLE_FAILED_INIT;
        }
        CURLMsg *message;
        int left;
        while ((message = curl.multi_info_read(response->multi, &left)) != NULL) {
            if (message->msg != CURLMSG_DONE) continue;
            response->is_done = 1;
            response->outcome = message->data.result;
        }
        release_sigpipe(held);
    }
    size_t available = response->body_count - response->body_start;
    if (available > 0) {
        *count = available < capacity ? available : capacity;
        memcpy(buffer, response->body + response->body_start, *count);
        response->body_start += *count;
        return CLIP_HTTP_OK;
    }
    if (!response->is_done) return CLIP_HTTP_WAITING;
    return response->outcome == CURLE_OK ? CLIP_HTTP_END : CLIP_HTTP_FAILED;
}

long clip_http_status(const clip_http_response *response) {
    long status = 0;
    if (!response->has_headers) return 0;
    curl.easy_getinfo(response->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *clip_http_headers(const clip_http_response *response) {
    return response->headers != NULL ? response->headers : "";
}

int clip_http_is_untrusted(const clip_http_response *response) {
    switch ((int)response->outcome) {
    case 51:  // CURLE_PEER_FAILED_VERIFICATION before 7.62
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return response->is_done;
    default: return 0;
    }
}

int clip_http_is_private(const clip_http_response *response) {
    return response->is_done && response->outcome != CURLE_OK && response->is_private &&
           !response->has_public;
}

const char *clip_http_message(const clip_http_response *response) {
    return response->error[0] != 0 ? response->error : curl.easy_strerror(response->outcome);
}

void clip_http_end(clip_http_response *response) {
    held_signal held = hold_sigpipe();
    if (response->multi != NULL && response->easy != NULL)
        curl.multi_remove_handle(response->multi, response->easy);
    if (response->easy != NULL) curl.easy_cleanup(response->easy);
    if (response->multi != NULL) curl.multi_cleanup(response->multi);
    release_sigpipe(held);
    curl.slist_free_all(response->request_headers);
    free(response->body);
    free(response->headers);
    free(response);
}

#include "CServerFiles.h"

// #embed is C23. clang supports it in C17 too, as an extension with a warning.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t page_html[] = {
#embed "page.html"
};

static const uint8_t page_css[] = {
#embed "page.css"
};

static const uint8_t page_js[] = {
#embed "page.js"
};

static const uint8_t openapi_json[] = {
#embed "openapi.json"
};

#pragma clang diagnostic pop

clip_server_file clip_server_page_html(void) {
    return (clip_server_file){page_html, sizeof(page_html)};
}
clip_server_file clip_server_page_css(void) {
    return (clip_server_file){page_css, sizeof(page_css)};
}
clip_server_file clip_server_page_js(void) {
    return (clip_server_file){page_js, sizeof(page_js)};
}
clip_server_file clip_server_openapi_json(void) {
    return (clip_server_file){openapi_json, sizeof(openapi_json)};
}

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

static const uint8_t page_tools_js[] = {
#embed "page-tools.js"
};

static const uint8_t page_search_js[] = {
#embed "page-search.js"
};

static const uint8_t page_results_js[] = {
#embed "page-results.js"
};

static const uint8_t page_zeroshot_js[] = {
#embed "page-zeroshot.js"
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
clip_server_file clip_server_page_tools_js(void) {
    return (clip_server_file){page_tools_js, sizeof(page_tools_js)};
}
clip_server_file clip_server_page_search_js(void) {
    return (clip_server_file){page_search_js, sizeof(page_search_js)};
}
clip_server_file clip_server_page_results_js(void) {
    return (clip_server_file){page_results_js, sizeof(page_results_js)};
}
clip_server_file clip_server_page_zeroshot_js(void) {
    return (clip_server_file){page_zeroshot_js, sizeof(page_zeroshot_js)};
}
clip_server_file clip_server_openapi_json(void) {
    return (clip_server_file){openapi_json, sizeof(openapi_json)};
}

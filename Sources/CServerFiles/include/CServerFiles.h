// The page of the server and the OpenAPI description of its endpoints, compiled in as UTF-8.

#ifndef CSERVERFILES_H
#define CSERVERFILES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *bytes;
    size_t count;
} clip_server_file;

clip_server_file clip_server_page_html(void);
clip_server_file clip_server_page_css(void);
clip_server_file clip_server_page_js(void);
clip_server_file clip_server_page_tools_js(void);
clip_server_file clip_server_page_search_js(void);
clip_server_file clip_server_page_results_js(void);
clip_server_file clip_server_page_zeroshot_js(void);
clip_server_file clip_server_openapi_json(void);

#endif

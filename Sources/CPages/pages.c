#include "CPages.h"

// #embed is C23. clang supports it in C17 too, as an extension with a warning.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t page_html[] = {
#embed "page.html"
};

static const uint8_t page_css[] = {
#embed "page.css"
};

static const uint8_t map_html[] = {
#embed "map.html"
};

static const uint8_t map_css[] = {
#embed "map.css"
};

static const uint8_t map_js[] = {
#embed "map.js"
};

static const uint8_t heatmap_css[] = {
#embed "heatmap.css"
};

static const uint8_t table_css[] = {
#embed "table.css"
};

static const uint8_t eval_css[] = {
#embed "eval.css"
};

#pragma clang diagnostic pop

clip_page_bytes clip_page_html(void) { return (clip_page_bytes){page_html, sizeof(page_html)}; }
clip_page_bytes clip_page_css(void) { return (clip_page_bytes){page_css, sizeof(page_css)}; }
clip_page_bytes clip_map_html(void) { return (clip_page_bytes){map_html, sizeof(map_html)}; }
clip_page_bytes clip_map_css(void) { return (clip_page_bytes){map_css, sizeof(map_css)}; }
clip_page_bytes clip_map_js(void) { return (clip_page_bytes){map_js, sizeof(map_js)}; }
clip_page_bytes clip_heatmap_css(void) {
    return (clip_page_bytes){heatmap_css, sizeof(heatmap_css)};
}
clip_page_bytes clip_table_css(void) { return (clip_page_bytes){table_css, sizeof(table_css)}; }
clip_page_bytes clip_eval_css(void) { return (clip_page_bytes){eval_css, sizeof(eval_css)}; }

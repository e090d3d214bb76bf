// The frames, styles and scripts of the pages that `clip` writes, as constants in the binary: UTF-8.
// {{name}} in an HTML file is a place that the command fills in.

#ifndef CPAGES_H
#define CPAGES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *start;
    size_t count;
} clip_page_bytes;

clip_page_bytes clip_page_html(void);    // the frame of every page
clip_page_bytes clip_page_css(void);     // its style, and that of galleries
clip_page_bytes clip_map_html(void);     // the body of `clip map`
clip_page_bytes clip_map_css(void);
clip_page_bytes clip_map_js(void);
clip_page_bytes clip_heatmap_css(void);  // the colours of the SVG of `clip similarity --heatmap`
clip_page_bytes clip_table_css(void);    // the table of its page

#endif

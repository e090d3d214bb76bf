// The templates, styles and scripts of the pages that `clip` writes, compiled in as UTF-8. The
// command replaces each {{name}} in an HTML file.

#ifndef CPAGES_H
#define CPAGES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *start;
    size_t count;
} clip_page_bytes;

clip_page_bytes clip_page_html(void);    // the template of every page
clip_page_bytes clip_page_css(void);     // the style of every page and of galleries
clip_page_bytes clip_map_html(void);     // the body of the page of `clip map`
clip_page_bytes clip_map_css(void);      // the style of the page of `clip map`
clip_page_bytes clip_map_js(void);       // the script of the page of `clip map`
clip_page_bytes clip_heatmap_css(void);  // the colours of the SVG of `clip similarity --heatmap`
clip_page_bytes clip_table_css(void);    // the style of the table of `clip similarity --heatmap`
clip_page_bytes clip_eval_css(void);     // the style of the page of `clip eval --report`

#endif

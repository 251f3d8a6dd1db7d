#include "cli/top/screen.h"

const char *screen_lack(void)
{
    return "this wharf was built without ncurses; `wharf top --once` prints one picture";
}

int screen_open(bool has_colours)
{
    (void)has_colours;
    return -1;
}

void screen_close(void)
{
}

void screen_size(uint32_t *ret_width, uint32_t *ret_height)
{
    *ret_width = *ret_height = 0;
}

void screen_draw(const struct top_cells *cells)
{
    (void)cells;
}

uint32_t screen_key(void)
{
    return 0;
}

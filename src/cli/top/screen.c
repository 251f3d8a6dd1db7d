/* X/Open's wide characters in <curses.h>. */
#define NCURSES_WIDECHAR 1
#include "cli/top/screen.h"

#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

#include "cli/top/view.h"

/* An Esc that begins a key's sequence is followed by the rest of it at once, also over ssh. */
#define ESCAPE_MS 50

static struct {
    SCREEN *screen;
    bool has_colours;
} term;

/* colour -1: the terminal's own; without colours, attributes alone. */
static const struct look {
    short colour, back;
    attr_t attributes;
} looks[TOP_STYLE__COUNT] = {
    [TOP_PLAIN] = {-1, -1, A_NORMAL},
    [TOP_TITLE] = {-1, -1, A_BOLD},
    [TOP_HEADING] = {-1, -1, A_UNDERLINE},
    [TOP_HEADING_HERE] = {-1, -1, A_UNDERLINE | A_BOLD},
    [TOP_DIM] = {-1, -1, A_DIM},
    [TOP_GOOD] = {COLOR_GREEN, -1, A_NORMAL},
    [TOP_BUSY] = {COLOR_YELLOW, -1, A_NORMAL},
    [TOP_BAD] = {COLOR_RED, -1, A_BOLD},
    [TOP_SELECTED] = {-1, -1, A_REVERSE},
    [TOP_POPUP] = {-1, -1, A_NORMAL},
    [TOP_MODEL_A] = {COLOR_GREEN, -1, A_NORMAL},
    [TOP_MODEL_B] = {COLOR_CYAN, -1, A_NORMAL},
    [TOP_LEASED] = {COLOR_MAGENTA, -1, A_NORMAL},
    [TOP_FOREIGN] = {COLOR_RED, -1, A_NORMAL},
    [TOP_SETTLING] = {COLOR_YELLOW, -1, A_NORMAL},
    [TOP_RESERVED] = {COLOR_BLUE, -1, A_NORMAL},
    [TOP_FREE] = {-1, -1, A_DIM},
};

const char *screen_lack(void)
{
    return NULL;
}

static void begin_colours(void)
{
    if (!term.has_colours || !has_colors() || start_color() == ERR || use_default_colors() == ERR) {
        term.has_colours = false;
        return;
    }
    for (int i = 0; i < TOP_STYLE__COUNT; i++)
        init_pair((short)(i + 1), looks[i].colour, looks[i].back);
}

int screen_open(bool has_colours)
{
    setlocale(LC_ALL, "");
    term.screen = newterm(NULL, stdout, stdin);
    if (!term.screen)
        return -1;
    set_term(term.screen);
    /* One that cannot move its cursor can only be written to. */
    if (!cursor_address || !clear_screen) {
        screen_close();
        return -1;
    }
    term.has_colours = has_colours;
    set_escdelay(ESCAPE_MS);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    begin_colours();
    return 0;
}

void screen_close(void)
{
    if (!term.screen)
        return;
    endwin();
    delscreen(term.screen);
    term.screen = NULL;
}

/* A terminal that was resized while we were stopped says nothing of it. */
void screen_size(uint32_t *ret_width, uint32_t *ret_height)
{
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    if (is_known && is_term_resized(size.ws_row, size.ws_col))
        resizeterm(size.ws_row, size.ws_col);
    *ret_width = (uint32_t)COLS;
    *ret_height = (uint32_t)LINES;
}

static attr_t attributes_of(uint8_t style)
{
    return looks[style].attributes;
}

/* Cells beside each other that look the same are one text. */
static uint32_t draw_run(const struct top_cells *g, uint32_t y, uint32_t x)
{
    struct buf text = {0};
    char one[5];
    const struct top_cell *row = &g->all[(size_t)y * g->width];
    uint32_t end = x;
    while (end < g->width && row[end].style == row[x].style) {
        top_cells_char(row[end].c, one);
        buf_text(&text, one);
        end++;
    }
    attr_set(attributes_of(row[x].style), term.has_colours ? (short)(row[x].style + 1) : (short)0,
             NULL);
    /* The last cell of all cannot be written without scrolling, and says that it failed. */
    if (text.len > 0)
        (void)mvaddstr((int)y, (int)x, text.data);
    buf_fini(&text);
    return end;
}

void screen_draw(const struct top_cells *cells)
{
    for (uint32_t y = 0; y < cells->height; y++)
        for (uint32_t x = 0; x < cells->width;)
            x = draw_run(cells, y, x);
    attr_set(A_NORMAL, 0, NULL);
    refresh();
}

uint32_t screen_key(void)
{
    static const struct {
        int curses;
        uint32_t key;
    } keys[] = {{KEY_UP, TOP_KEY_UP},         {KEY_DOWN, TOP_KEY_DOWN},
                {KEY_PPAGE, TOP_KEY_PAGE_UP}, {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
                {KEY_HOME, TOP_KEY_HOME},     {KEY_END, TOP_KEY_END},
                {KEY_BTAB, TOP_KEY_BACK_TAB}, {KEY_BACKSPACE, TOP_KEY_ERASE},
                {0x7f, TOP_KEY_ERASE},        {'\b', TOP_KEY_ERASE},
                {'\r', TOP_KEY_ENTER},        {KEY_ENTER, TOP_KEY_ENTER}};
    int key;
    while ((key = getch()) != ERR) {
        for (size_t i = 0; i < countof(keys); i++)
            if (keys[i].curses == key)
                return keys[i].key;
        if (key < KEY_MIN)
            return (uint32_t)key;
    }
    return 0;
}

#include "dockerfile/regex_internal.h"
#include "dockerfile/runes_internal.h"
#include <ctype.h>
#include <string.h>

enum op { OP_SET, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_WORD_EDGE, OP_NO_WORD_EDGE, OP_MATCH };

struct range {
    uint32_t low, high;
};

/* OP_SET: ranges[first .. first + n), negated or not. OP_SPLIT, OP_JUMP: x and y are places. */
struct inst {
    enum op op;
    bool negated;
    size_t x, y; /* OP_SET: first range, number of ranges */
};

struct regex {
    struct inst *prog;
    size_t n, cap;
    struct range *ranges;
    size_t n_ranges, cap_ranges;
    char *literal; /* stands in all that matches; NULL: nothing does. Looked for before it is run */
};

/* A regex being compiled from p on. */
struct compiler {
    struct regex *re;
    const char *p;
};

void regex_free(struct regex *re)
{
    if (re == NULL)
        return;
    mem_free(re->prog);
    mem_free(re->ranges);
    mem_free(re->literal);
    mem_free(re);
}

static size_t emit(struct regex *re, enum op op, size_t x, size_t y)
{
    MEM_ROOM(re->prog, re->n, re->cap);
    re->prog[re->n] = (struct inst){ .op = op, .x = x, .y = y };
    return re->n++;
}

static void add_range(struct regex *re, uint32_t low, uint32_t high)
{
    MEM_ROOM(re->ranges, re->n_ranges, re->cap_ranges);
    re->ranges[re->n_ranges++] = (struct range){ low, high };
}

/* The set made of the ranges added since first. */
static void emit_set(struct regex *re, size_t first, bool negated)
{
    size_t at = emit(re, OP_SET, first, re->n_ranges - first);
    re->prog[at].negated = negated;
}

static uint32_t take(struct compiler *c)
{
    uint32_t r;
    c->p += rune_get(c->p, strnlen(c->p, 4), &r);
    return r;
}

struct named_set {
    const char *name;
    struct range ranges[4];
    size_t n;
};

static void add_named(struct regex *re, const struct named_set *set, bool negated)
{
    uint32_t from = 0;
    for (size_t i = 0; i < set->n; i++) {
        if (!negated) {
            add_range(re, set->ranges[i].low, set->ranges[i].high);
        } else if (set->ranges[i].low > from) {
            add_range(re, from, set->ranges[i].low - 1);
        }
        from = set->ranges[i].high + 1;
    }
    if (negated)
        add_range(re, from, 0x10FFFF);
}

/* \d \s \w and their opposites. False: c is none of them. */
static bool add_perl_set(struct regex *re, char c)
{
    static const struct named_set sets[] = {
        { "d", { { '0', '9' } }, 1 },
        { "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
        { "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        if (tolower((unsigned char)c) == sets[i].name[0]) {
            add_named(re, &sets[i], isupper((unsigned char)c) != 0);
            return true;
        }
    }
    return false;
}

static bool take_hex(struct compiler *c, uint32_t *ret)
{
    static const char digits[] = "0123456789abcdef";
    *ret = 0;
    for (int i = 0; i < 2; i++) {
        const char *at = *c->p != '\0' ? strchr(digits, tolower((unsigned char)*c->p)) : NULL;
        if (at == NULL)
            return false;
        *ret = *ret * 16 + (uint32_t)(at - digits);
        c->p++;
    }
    return true;
}

/* A character written with a backslash; c is behind it. False: there is no such escape. */
static bool take_escape(struct compiler *c, uint32_t *ret)
{
    static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
    unsigned char e = (unsigned char)*c->p;
    const char *named = e != '\0' ? strchr(from, e) : NULL;
    if (e == '\0' || e >= 0x80)
        return false;
    c->p++;
    if (named != NULL)
        *ret = (uint32_t)to[named - from];
    else if (!isalnum(e))
        *ret = e;
    else if (e == 'x')
        return take_hex(c, ret);
    else if (e < '0' || e > '7' || (e != '0' && (*c->p < '0' || *c->p > '7')))
        return false;
    else
        for (*ret = e - '0'; *c->p >= '0' && *c->p <= '7' && *ret < 64; c->p++)
            *ret = *ret * 8 + (uint32_t)(*c->p - '0');
    return true;
}

/* "[:alpha:]" inside a class: 1 added, 0 it is not one, -1 there is no such name. */
static int add_posix_set(struct compiler *c)
{
    static const struct named_set sets[] = {
        { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
        { "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
        { "ascii", { { 0, 0x7F } }, 1 },
        { "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
        { "cntrl", { { 0, 0x1F }, { 0x7F, 0x7F } }, 2 },
        { "digit", { { '0', '9' } }, 1 },
        { "graph", { { '!', '~' } }, 1 },
        { "lower", { { 'a', 'z' } }, 1 },
        { "print", { { ' ', '~' } }, 1 },
        { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
        { "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
        { "upper", { { 'A', 'Z' } }, 1 },
        { "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
        { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
    };
    const char *end = strncmp(c->p, "[:", 2) == 0 ? strstr(c->p + 2, ":]") : NULL;
    if (end == NULL)
        return 0;
    bool negated = c->p[2] == '^';
    const char *name = c->p + 2 + negated;
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        size_t n = strlen(sets[i].name);
        if (name <= end && (size_t)(end - name) == n && memcmp(name, sets[i].name, n) == 0) {
            add_named(c->re, &sets[i], negated);
            c->p = end + 2;
            return 1;
        }
    }
    return -1;
}

static bool take_class_char(struct compiler *c, uint32_t *ret)
{
    if (*c->p == '\0')
        return false;
    if (*c->p == '\\') {
        c->p++;
        return take_escape(c, ret);
    }
    *ret = take(c);
    return true;
}

/* One member of a class: a named set, a character or a range. */
static bool add_class_member(struct compiler *c)
{
    uint32_t low, high;
    int posix = add_posix_set(c);
    if (posix != 0)
        return posix > 0;
    if (c->p[0] == '\\' && c->p[1] != '\0' && add_perl_set(c->re, c->p[1])) {
        c->p += 2;
        return true;
    }
    if (!take_class_char(c, &low))
        return false;
    high = low;
    if (c->p[0] == '-' && c->p[1] != '\0' && c->p[1] != ']') {
        c->p++;
        if (!take_class_char(c, &high) || high < low)
            return false;
    }
    add_range(c->re, low, high);
    return true;
}

/* c is at '['. */
static bool compile_class(struct compiler *c)
{
    size_t first = c->re->n_ranges;
    bool negated = c->p[1] == '^', any = false;
    for (c->p += 1 + negated; !any || *c->p != ']'; any = true) {
        if (*c->p == '\0' || !add_class_member(c))
            return false;
    }
    c->p++;
    emit_set(c->re, first, negated);
    return true;
}

/* c is at a backslash. */
static bool compile_escape(struct compiler *c)
{
    static const char edges[] = "AzbB";
    static const enum op ops[] = { OP_BEGIN, OP_END, OP_WORD_EDGE, OP_NO_WORD_EDGE };
    size_t first = c->re->n_ranges;
    const char *edge = c->p[1] != '\0' ? strchr(edges, c->p[1]) : NULL;
    uint32_t r;
    if (edge != NULL) {
        emit(c->re, ops[edge - edges], 0, 0);
        c->p += 2;
        return true;
    }
    if (add_perl_set(c->re, c->p[1])) {
        c->p += 2;
    } else {
        c->p++;
        if (!take_escape(c, &r))
            return false;
        add_range(c->re, r, r);
    }
    emit_set(c->re, first, false);
    return true;
}

/* Any character but a newline. */
static void emit_dot(struct regex *re)
{
    add_range(re, '\n', '\n');
    emit_set(re, re->n_ranges - 1, true);
}

/* The instruction that was emitted last may come any number of times. */
static void emit_star(struct regex *re)
{
    struct inst body = re->prog[re->n - 1];
    size_t split = re->n - 1;
    re->prog[split] = (struct inst){ .op = OP_SPLIT, .x = split + 1, .y = split + 3 };
    size_t at = emit(re, body.op, body.x, body.y);
    re->prog[at].negated = body.negated;
    emit(re, OP_JUMP, split, 0);
}

/* "(.*" "/)?": nothing, or whole leading directories. */
static void emit_directories(struct regex *re)
{
    size_t split = emit(re, OP_SPLIT, re->n + 1, 0);
    emit_dot(re);
    emit_star(re);
    add_range(re, '/', '/');
    emit_set(re, re->n_ranges - 1, false);
    re->prog[split].y = re->n;
}

static bool compile_atom(struct compiler *c)
{
    static const char directories[] = "(.*/)?";
    switch (*c->p) {
    case '[':
        return compile_class(c);
    case '\\':
        return compile_escape(c);
    case '^':
    case '$':
        emit(c->re, *c->p == '^' ? OP_BEGIN : OP_END, 0, 0);
        c->p++;
        return true;
    case '.':
        emit_dot(c->re);
        c->p++;
        return true;
    case '(':
        if (strncmp(c->p, directories, strlen(directories)) != 0)
            return false;
        emit_directories(c->re);
        c->p += strlen(directories);
        return true;
    default: {
        uint32_t r = take(c);
        add_range(c->re, r, r);
        emit_set(c->re, c->re->n_ranges - 1, false);
        return true;
    }
    }
}

/* The one character that an instruction reads, if it is ASCII; 0: it is another, or reads none. */
static char only_char(const struct regex *re, const struct inst *inst)
{
    if (inst->op != OP_SET || inst->y != 1 || inst->negated)
        return '\0';
    const struct range *r = &re->ranges[inst->x];
    return r->low == r->high && r->low < 0x80 ? (char)r->low : '\0';
}

/* The longest row of characters that every way through the program reads. */
static void find_literal(struct regex *re)
{
    AUTO(buf_release) struct buf row = BUF_INIT;
    AUTO(buf_release) struct buf longest = BUF_INIT;
    for (size_t pc = 0; pc < re->n;) {
        const struct inst *inst = &re->prog[pc];
        char c = only_char(re, inst);
        if (c != '\0')
            buf_addc(&row, c);
        if (c == '\0') {
            if (row.len > longest.len) {
                buf_clear(&longest);
                buf_add(&longest, buf_str(&row), row.len);
            }
            buf_clear(&row);
        }
        pc = inst->op == OP_SPLIT ? inst->y : pc + 1; /* past what may be left out */
    }
    if (longest.len > 0)
        re->literal = str_dup(buf_str(&longest));
}

struct regex *regex_compile(const char *expression, struct err *err)
{
    AUTO(regex_free) struct regex *re = mem_zalloc(sizeof(*re));
    struct compiler c = { .re = re, .p = expression };
    while (*c.p != '\0') {
        bool ok = compile_atom(&c);
        if (ok && *c.p == '*') {
            ok = re->prog[re->n - 1].op == OP_SET;
            if (ok)
                emit_star(re);
            c.p++;
        }
        if (!ok) {
            err_set(err, ERR_USAGE, "syntax error in pattern");
            return NULL;
        }
    }
    emit(re, OP_MATCH, 0, 0);
    find_literal(re);
    return TAKE(re);
}

enum run_mode {
    RUN_WHOLE,   /* the text is all there is */
    RUN_PARENTS, /* or what is before one of its slashes is */
    RUN_PREFIX,  /* the text's end is not known to be the end */
};

/* Where a run over a text stands. */
struct run {
    const struct regex *re;
    const char *text;
    size_t n, at;
    size_t *now, *next; /* instructions reached, each once */
    size_t n_now, n_next;
    size_t *seen; /* by instruction: generation in which it was reached */
    size_t generation;
    size_t *stack;
    enum run_mode mode;
    bool parent_matched;
};

static bool is_word(const struct run *r, size_t at)
{
    return at < r->n && (isalnum((unsigned char)r->text[at]) || r->text[at] == '_');
}

static bool holds(const struct run *r, enum op op)
{
    bool edge = (r->at > 0 && is_word(r, r->at - 1)) != is_word(r, r->at);
    switch (op) {
    case OP_BEGIN:
        return r->at == 0;
    case OP_END:
        return r->at == r->n && r->mode != RUN_PREFIX;
    case OP_WORD_EDGE:
        return edge || (r->mode == RUN_PREFIX && r->at == r->n);
    default:
        return !edge || (r->mode == RUN_PREFIX && r->at == r->n);
    }
}

/* Adds instruction pc and all that it leads to without reading a character. */
static void reach(struct run *r, size_t pc)
{
    size_t depth = 0;
    r->stack[depth++] = pc;
    while (depth > 0) {
        pc = r->stack[--depth];
        if (r->seen[pc] == r->generation)
            continue;
        r->seen[pc] = r->generation;
        const struct inst *inst = &r->re->prog[pc];
        if (inst->op == OP_SPLIT || inst->op == OP_JUMP) {
            r->stack[depth++] = inst->x;
            if (inst->op == OP_SPLIT)
                r->stack[depth++] = inst->y;
        } else if (inst->op == OP_SET || inst->op == OP_MATCH) {
            r->next[r->n_next++] = pc;
        } else if (holds(r, inst->op)) {
            r->stack[depth++] = pc + 1;
        } else if (inst->op == OP_END && r->text[r->at] == '/') {
            r->parent_matched |= r->re->prog[pc + 1].op == OP_MATCH;
        }
    }
}

static bool in_set(const struct regex *re, const struct inst *inst, uint32_t c)
{
    bool found = false;
    for (size_t i = 0; i < inst->y && !found; i++) {
        const struct range *range = &re->ranges[inst->x + i];
        found = range->low <= c && c <= range->high;
    }
    return found != inst->negated;
}

/* What was reached becomes what is looked at. */
static void turn(struct run *r)
{
    size_t *now = r->now;
    r->now = r->next;
    r->n_now = r->n_next;
    r->next = now;
    r->n_next = 0;
    r->generation++;
}

static void step(struct run *r)
{
    uint32_t c;
    r->at += rune_get(r->text + r->at, r->n - r->at, &c);
    for (size_t i = 0; i < r->n_now; i++) {
        const struct inst *inst = &r->re->prog[r->now[i]];
        if (inst->op == OP_SET && in_set(r->re, inst, c))
            reach(r, r->now[i] + 1);
    }
    turn(r);
}

/* Runs over all of text; what is reached at its end is in now. */
static bool run_over(const struct regex *re, const char *text, enum run_mode mode)
{
    if (mode != RUN_PREFIX && re->literal != NULL && strstr(text, re->literal) == NULL)
        return false;
    AUTO(mem_free) size_t *memory = mem_calloc(re->n * 5, sizeof(size_t));
    struct run r = {
        .re = re,
        .text = text,
        .n = strlen(text),
        .generation = 1,
        .now = memory,
        .next = memory + re->n,
        .seen = memory + 2 * re->n,
        .stack = memory + 3 * re->n,
        .mode = mode,
    };
    reach(&r, 0);
    turn(&r);
    while (r.at < r.n && r.n_now > 0)
        step(&r);
    bool matched = mode == RUN_PARENTS && r.parent_matched;
    for (size_t i = 0; i < r.n_now; i++)
        matched |= mode == RUN_PREFIX || re->prog[r.now[i]].op == OP_MATCH;
    return matched;
}

bool regex_match(const struct regex *re, const char *text)
{
    return run_over(re, text, RUN_WHOLE);
}

bool regex_match_with_parents(const struct regex *re, const char *path)
{
    return run_over(re, path, RUN_PARENTS);
}

bool regex_may_continue(const struct regex *re, const char *text)
{
    return run_over(re, text, RUN_PREFIX);
}

/* One line that may be a parser directive. */
#ifndef SHALE_DOCKERFILE_AST_DIRECTIVE_INTERNAL_H
#define SHALE_DOCKERFILE_AST_DIRECTIVE_INTERNAL_H

#include "dockerfile/ast.h"

/* comment: "#" or "//". False: no known directive; ret is then untouched. Its line is not set. */
bool directive_read(const char *s, size_t n, const char *comment, struct ast_directive *ret);

#endif

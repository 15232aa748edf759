#include <stdio.h>
#include "util.h"

#define LIMIT 10
/* Adds. */
static int add(int a, int b)
{
    return util_sum(a, b);
}

struct point {
    int x, y;
};

typedef struct point point_t;
enum color { RED, GREEN };
int count = 0;
int later(struct point *p);

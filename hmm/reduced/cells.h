/* What Python and cells.c share. */

/* One phase: g cubature points, f local fields, v internal variables, the law with its constants. */
typedef struct {
    int g, f, v, unknowns;
    const double *weights, *offset, *H, *C0, *start;
    uintptr_t law, equations, guess;
    const double *c, *ce, *cg;
    double strength;
} reduced_phase;

/* The cell, and room to work in. */
typedef struct {
    int m, N, stride, history, phases;
    const reduced_phase *phase;
    const double *K, *constant;
    double rtol, rounding, *work;
} reduced_cell;

int64_t reduced_room(const reduced_cell *cell);
void reduced_answers(const reduced_cell *cell, int64_t n, const double *x, const double *old, const double *expected,
                     const double *allowed, double *q, double *small, int8_t *condensed, double *step,
                     double *sensitivity, double *tangent, double *drop);
void reduced_updates(const reduced_cell *cell, int64_t n, const double *x, const double *old, double *now);

/* Loops over material points around the kernels that FFCx makes of a law's expressions.
 *
 * A kernel gets one row w of numbers, [fields, old, unknowns, inverse Jacobian], and adds to A. Rows of the caller have
 * `inputs` = fields + old numbers; what follows is found here. The duration of the step is among the constants c.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef void (*kernel)(double*, const double*, const double*, const double*, const int*, const uint8_t*, void*);

#define MOST 32        /* local unknowns */
#define TOLERANCE 1e-10 /* largest entry of a converged residual */
#define STAGNATION 1e-8 /* a residual below this that rounding does not let fall further counts as converged too */
#define ITERATIONS 60
#define HALVINGS 12

static const double nowhere[64];
static const int zero[4];
static const uint8_t none[4];

static void call(uintptr_t f, double *A, int size, const double *w, const double *c) {
    memset(A, 0, size * sizeof(double));
    ((kernel)f)(A, w, c, nowhere, zero, none, 0);
}

/* Responses, tangents and new variables, `outputs` numbers a point, of n points whose law has no unknowns. */
void explicit_points(uintptr_t law, int64_t n, int inputs, int outputs, const double *w, const double *c, double *out) {
    for (int64_t p = 0; p < n; p++) call(law, out + p * outputs, outputs, w + p * inputs, c);
}

/* Invert the m x m matrix J by Gauss-Jordan elimination with pivots; 0 if it is singular. */
static int invert(int m, const double *J, double *inverse) {
    double a[MOST * MOST];
    memcpy(a, J, m * m * sizeof(double));
    memset(inverse, 0, m * m * sizeof(double));
    for (int i = 0; i < m; i++) inverse[i * m + i] = 1;
    for (int k = 0; k < m; k++) {
        int pivot = k;
        for (int i = k + 1; i < m; i++)
            if (fabs(a[i * m + k]) > fabs(a[pivot * m + k])) pivot = i;
        if (!(fabs(a[pivot * m + k]) > 0)) return 0;
        for (int j = 0; j < m; j++) {
            double t = a[k * m + j]; a[k * m + j] = a[pivot * m + j]; a[pivot * m + j] = t;
            t = inverse[k * m + j]; inverse[k * m + j] = inverse[pivot * m + j]; inverse[pivot * m + j] = t;
        }
        double d = 1 / a[k * m + k];
        for (int j = 0; j < m; j++) { a[k * m + j] *= d; inverse[k * m + j] *= d; }
        for (int i = 0; i < m; i++) {
            double f = a[i * m + k];
            if (i == k || f == 0) continue;
            for (int j = 0; j < m; j++) { a[i * m + j] -= f * a[k * m + j]; inverse[i * m + j] -= f * inverse[k * m + j]; }
        }
    }
    return 1;
}

static double largest(int m, const double *r) {
    double size = 0;
    for (int i = 0; i < m; i++) {
        if (!isfinite(r[i])) return INFINITY;
        if (fabs(r[i]) > size) size = fabs(r[i]);
    }
    return size;
}

/* Solve for the m unknowns of one point by Newton's method with halved steps; w has room behind its inputs. 1 if solved. */
static int solve(uintptr_t equations, uintptr_t guess, int inputs, int m, double *w, const double *c, const double *cg) {
    double x[MOST], rJ[MOST + MOST * MOST], trial[MOST + MOST * MOST], inverse[MOST * MOST], *unknowns = w + inputs;
    memset(unknowns, 0, m * sizeof(double));
    call(guess, x, m, w, cg);
    memcpy(unknowns, x, m * sizeof(double));
    call(equations, rJ, m + m * m, w, c);
    double norm = largest(m, rJ);
    for (int k = 0; k < ITERATIONS && !(norm <= TOLERANCE); k++) {
        int better = 0;
        double length = 1, d[MOST];
        if (!isfinite(norm) || !invert(m, rJ + m, inverse)) break;
        for (int i = 0; i < m; i++) {
            d[i] = 0;
            for (int j = 0; j < m; j++) d[i] += inverse[i * m + j] * rJ[j];
        }
        for (int h = 0; h < HALVINGS && !better; h++, length /= 2) {
            for (int i = 0; i < m; i++) unknowns[i] = x[i] - length * d[i];
            call(equations, trial, m + m * m, w, c);
            better = largest(m, trial) < norm;
        }
        if (!better) break;
        memcpy(x, unknowns, m * sizeof(double));
        memcpy(rJ, trial, sizeof(trial));
        norm = largest(m, rJ);
    }
    memcpy(unknowns, x, m * sizeof(double));
    return norm <= STAGNATION && invert(m, rJ + m, w + inputs + m);
}

/* The same for a law with m unknowns; `work` has inputs + m + m * m numbers. Constants of the
 * three kernels are c, ce and cg. Outputs of points not solved are NaN. */
void implicit_points(uintptr_t law, uintptr_t equations, uintptr_t guess, int64_t n, int inputs, int m, int outputs,
                     const double *w, const double *c, const double *ce, const double *cg, double *work, double *out) {
    for (int64_t p = 0; p < n; p++) {
        memcpy(work, w + p * inputs, inputs * sizeof(double));
        if (solve(equations, guess, inputs, m, work, ce, cg)) call(law, out + p * outputs, outputs, work, c);
        else for (int i = 0; i < outputs; i++) out[p * outputs + i] = NAN;
    }
}

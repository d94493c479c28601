/* Loops over the cells of a mesh around the kernels that FFCx makes of cell integrals.
 *
 * The coefficients of a cell are the numbers at `nw` addresses, so that nothing is packed beforehand.
 */
#include <stdint.h>
#include <string.h>

typedef void (*kernel)(double *, const double *, const double *, const double *, const int *, const uint8_t *, void *);

#define DOMAIN \
    uintptr_t f, int64_t n, int nd, int nw, const uintptr_t *w_at, const double *c, int nx, const int32_t *nodes, \
    const double *x

/* The element vector or matrix A of `size` numbers; each call moves on by one cell. */
#define ELEMENT(A, size) \
    double w[nw + 1], X[3 * nx]; \
    for (int j = 0; j < nw; j++) w[j] = *(const double *)*w_at++; \
    for (int j = 0; j < nx; j++) memcpy(X + 3 * j, x + 3 * (int64_t)*nodes++, 3 * sizeof(double)); \
    memset(A, 0, (size) * sizeof(double)); \
    ((kernel)f)(A, w, c, X, 0, 0, 0)

/* Add the element vectors to `out` at the n x nd `dofs`. */
void add_vector(DOMAIN, const int32_t *dofs, double *out)
{
    for (int64_t e = 0; e < n; e++, dofs += nd) {
        double A[nd];
        ELEMENT(A, nd);
        for (int i = 0; i < nd; i++) out[dofs[i]] += A[i];
    }
}

/* y += a x */
static inline void add(int n, double a, const double *restrict x, double *restrict y)
{
    for (int i = 0; i < n; i++) y[i] += a * x[i];
}

static inline double dot(int n, const double *restrict x, const double *restrict y)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* The element matrices K, n x nd x nd, and their products with m given rows a of each cell, n x m x nd:
 * M += a K and, unless L is null, L += a K^T, both in the columns `target`, n x nd, of `size`, unless that is negative;
 * D += a K a^T. */
void columns(DOMAIN, const int32_t *target, int64_t size, int m, const double *a, double *K, double *L, double *M,
             double *D)
{
    for (int64_t e = 0; e < n; e++, target += nd, K += nd * nd, a += m * nd) {
        double r[m * nd];
        ELEMENT(K, nd * nd);
        memset(r, 0, sizeof(r));
        for (int i = 0; i < nd; i++)
            for (int k = 0; k < m; k++) add(nd, a[k * nd + i], K + i * nd, r + k * nd);
        for (int k = 0; k < m; k++) {
            for (int h = 0; h < m; h++) D[k * m + h] += dot(nd, r + k * nd, a + h * nd);
            for (int j = 0; j < nd; j++) {
                if (target[j] < 0) continue;
                M[k * size + target[j]] += r[k * nd + j];
                if (L) L[k * size + target[j]] += dot(nd, K + j * nd, a + k * nd);
            }
        }
    }
}

/* Tangents of many reduced cells, T += sum_k w_k H_k' (C_k - C0) H_k: points that are elastic cost nothing.
 *
 * n cells, g cubature points, f local fields, W = m + N columns; all arrays row by row.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NEGLIGIBLE 1e-14 /* of the largest entry of C0 */
#define ROUNDING 1e-12   /* the same, in what makes a tangent not symmetric */

/* t[j] += sum_a h[a] c[a, j] for j from `start`, of two rows at once: s and t with h and l; a < f <= 3. */
static void add_rows(int f, int W, int start, const double *h, const double *l, const double *restrict c,
                     double *restrict s, double *restrict t) {
    const double *restrict c1 = c + W, *restrict c2 = c + 2 * W;
    if (f == 3)
        for (int j = start; j < W; j++) {
            s[j] += h[0] * c[j] + h[1] * c1[j] + h[2] * c2[j];
            t[j] += l[0] * c[j] + l[1] * c1[j] + l[2] * c2[j];
        }
    else
        for (int a = 0; a < f; a++)
            for (int j = start; j < W; j++) {
                s[j] += h[a] * c[a * W + j];
                t[j] += l[a] * c[a * W + j];
            }
}

/* T[i, j] += sum_a H[a, i] CH[a, j]; of a symmetric product only the upper triangle is right. T has one row more. */
static void add_product(int f, int W, const double *H, const double *CH, int symmetric, double *T) {
    for (int i = 0; i < W; i += 2)
        for (int a = 0; a < f; a += 3) {
            int m = f - a < 3 ? f - a : 3;
            double h[3] = {0}, l[3] = {0};
            for (int b = 0; b < m; b++) {
                h[b] = H[(a + b) * W + i];
                l[b] = i + 1 < W ? H[(a + b) * W + i + 1] : 0;
            }
            add_rows(m, W, symmetric ? i : 0, h, l, CH + a * W, T + (int64_t)i * W, T + (int64_t)(i + 1) * W);
        }
}

/* D = w (C - C0); 0 if it is negligible, 2 if it is symmetric, else 1. */
static int difference(int f, double w, const double *C, const double *C0, double scale, double *D) {
    double largest = 0, skew = 0;
    for (int a = 0; a < f; a++)
        for (int b = 0; b < f; b++) {
            double d = C[a * f + b] - C0[a * f + b];
            double s = fabs(C[a * f + b] - C[b * f + a]);
            if (!(fabs(d) <= largest)) largest = fabs(d); /* NaN counts as large */
            if (!(s <= skew)) skew = s;
            D[a * f + b] = w * d;
        }
    if (largest <= NEGLIGIBLE * scale) return 0;
    return skew <= ROUNDING * scale ? 2 : 1;
}

/* `work` has f * f + f * W + 2 * (W + 1) * W numbers. */
void reduced_tangents(int64_t n, int g, int f, int W, const double *C, const double *C0, const double *w,
                      const double *H, double *work, double *T) {
    int64_t size = (int64_t)(W + 1) * W;
    double *D = work, *CH = D + f * f, *U = CH + f * W, *V = U + size, scale = 0;
    for (int a = 0; a < f * f; a++)
        if (fabs(C0[a]) > scale) scale = fabs(C0[a]);
    for (int64_t p = 0; p < n; p++, T += (int64_t)W * W) {
        memset(U, 0, 2 * size * sizeof(double));
        for (int k = 0; k < g; k++, C += f * f) {
            const double *h = H + (int64_t)k * f * W;
            int kind = difference(f, w[k], C, C0, scale, D);
            if (!kind) continue;
            memset(CH, 0, (size_t)f * W * sizeof(double));
            for (int b = 0; b < f; b++)
                for (int a = 0; a < f; a++) {
                    const double d = D[a * f + b], *restrict from = h + b * W;
                    double *restrict to = CH + a * W;
                    for (int j = 0; j < W; j++) to[j] += d * from[j];
                }
            add_product(f, W, h, CH, kind == 2, kind == 2 ? U : V);
        }
        for (int i = 0; i < W; i++)
            for (int j = 0; j < W; j++) T[i * W + j] += V[i * W + j] + (j < i ? U[j * W + i] : U[i * W + j]);
    }
}

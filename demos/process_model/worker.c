/* A worker of hmm.ProcessModel in plain C: an isotropic elastic law with damage, one point at a time.
 *
 * It reads questions from standard input and writes answers to standard output until the input ends. A message is
 *
 *   "HMM1"  uint32 kind  uint32 count,  then count times:
 *   uint32 length  name  uint32 rank  uint64 extent[rank]  double data[...]
 *
 * all little-endian (the framing is documented in hmm/models/framing.py). Build: cc -O2 -o worker worker.c -lm
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define M 3 /* plane strain, Mandel: 11, 22, sqrt2*12 */

static const double lambda = 40e3, mu = 27e3; /* MPa */
static const double threshold = 2e-3, range = 4e-3, most = 0.6; /* damage begins, grows over, and ends at */

static void get(void *to, size_t n) {
    if (fread(to, 1, n, stdin) != n) exit(0); /* the input has ended */
}

static void put(const void *from, size_t n) { fwrite(from, 1, n, stdout); }

static uint32_t get32(void) { uint32_t x; get(&x, 4); return x; }

static void put32(uint32_t x) { put(&x, 4); }

/* Read one array into fresh memory; the number of rows is its first extent. */
static double *get_array(char *name, uint64_t *rows) {
    uint32_t length = get32(), rank, k;
    uint64_t numbers = 1, extent;
    double *data;
    if (length > 63) exit(2);
    get(name, length);
    name[length] = 0;
    rank = get32();
    *rows = 1;
    for (k = 0; k < rank; k++) {
        get(&extent, 8);
        numbers *= extent;
        if (k == 0) *rows = extent;
    }
    data = malloc(numbers * sizeof(double) + 1);
    get(data, numbers * sizeof(double));
    return data;
}

static void put_array(const char *name, uint32_t rank, uint64_t n, const double *data) {
    uint64_t extent[3] = {n, M, M}, numbers = n * (rank > 1 ? M : 1) * (rank > 2 ? M : 1);
    put32((uint32_t)strlen(name));
    put(name, strlen(name));
    put32(rank);
    put(extent, 8 * rank);
    put(data, numbers * sizeof(double));
}

/* Stress, tangent and the new largest energy norm k of one point. */
static void law(const double *E, double old, double *S, double *A, double *k) {
    double C[M][M] = {{lambda + 2 * mu, lambda, 0}, {lambda, lambda + 2 * mu, 0}, {0, 0, 2 * mu}};
    double effective[M] = {0}, energy = 0, norm, d, slope;
    int i, j;
    for (i = 0; i < M; i++)
        for (j = 0; j < M; j++) effective[i] += C[i][j] * E[j];
    for (i = 0; i < M; i++) energy += E[i] * effective[i];
    norm = sqrt(energy / (lambda + 2 * mu));
    *k = norm > old ? norm : old;
    d = *k > threshold ? most * (1 - exp(-(*k - threshold) / range)) : 0;
    slope = norm > old && norm > threshold ? (most - d) / range : 0; /* d d / d k */
    for (i = 0; i < M; i++) {
        S[i] = (1 - d) * effective[i];
        for (j = 0; j < M; j++)
            A[M * i + j] = (1 - d) * C[i][j] - (slope ? slope * effective[i] * effective[j] / (norm * (lambda + 2 * mu)) : 0);
    }
}

int main(void) {
    for (;;) {
        char magic[4], name[64];
        uint32_t count, a;
        uint64_t n = 0, rows, p;
        double *E = NULL, *old = NULL, *data, *S, *A, *k;
        get(magic, 4);
        if (memcmp(magic, "HMM1", 4)) return 2;
        get32(); /* the kind: always a question */
        count = get32();
        for (a = 0; a < count; a++) {
            data = get_array(name, &rows);
            if (!strcmp(name, "E")) { E = data; n = rows; }
            else if (!strcmp(name, "old:k")) old = data;
            else free(data);
        }
        S = malloc(n * M * sizeof(double) + 1);
        A = malloc(n * M * M * sizeof(double) + 1);
        k = malloc(n * sizeof(double) + 1);
        for (p = 0; p < n; p++) law(E + M * p, old[p], S + M * p, A + M * M * p, k + p);
        put("HMM1", 4);
        put32(2); /* an answer */
        put32(3);
        put_array("response", 2, n, S);
        put_array("tangent", 3, n, A);
        put_array("new:k", 1, n, k);
        fflush(stdout);
        free(E); free(old); free(S); free(A); free(k);
    }
}

/* Loops over a periodic grid of equal voxels, compiled by kernels.py for each block size BS and dimension DIM. */
#include <stdint.h>
#include <string.h>
#define LINES (1 << (DIM - 1))      /* lines of nodes along the last axis that bound a cell */
#define RUN (2 * BS)                /* dofs of a cell on one of them: contiguous */
#define ND (LINES * RUN)
#define VECS ((ND + 7) / 8)
typedef double vec __attribute__((vector_size(64)));

/* y_e += K u_e; K holds columns, padded with zeros to whole vectors */
#define INLINE static inline __attribute__((always_inline))
INLINE void cell(const double* restrict K, const double* const* u, double* const* y)
{
  vec acc[VECS];
  for (int v = 0; v < VECS; ++v) acc[v] = (vec){0};
  for (int l = 0; l < LINES; ++l)
    for (int m = 0; m < RUN; ++m, K += 8 * VECS)
      for (int v = 0; v < VECS; ++v) acc[v] += u[l][m] * *(const vec*)(K + 8 * v);
  double out[8 * VECS] __attribute__((aligned(64)));
  for (int v = 0; v < VECS; ++v) *(vec*)(out + 8 * v) = acc[v];
  for (int l = 0; l < LINES; ++l)
    for (int m = 0; m < RUN; ++m) y[l][m] += out[l * RUN + m];
}

static void lines_of(int64_t row, const int* n, int64_t* line)
{
  for (int l = 0; l < LINES; ++l)
  {
#if DIM == 3
    int64_t i = row / n[1] + (l >> 1), j = row % n[1] + (l & 1);
    line[l] = (i % n[0] * n[1] + j % n[1]) * n[2] * BS;
#else
    line[l] = (row + l) % n[0] * n[1] * BS;
#endif
  }
}

#define GRID_LOOP(CELL) \
  const int last = n[DIM - 1] - 1; \
  int64_t rows = 1, line[LINES], c = 0; \
  for (int a = 0; a < DIM - 1; ++a) rows *= n[a]; \
  memset(y, 0, sizeof(double) * rows * (last + 1) * BS); \
  for (int64_t row = 0; row < rows; ++row) \
  { \
    const double* ul[LINES]; \
    double *yl[LINES], ub[LINES][RUN], yb[LINES][RUN]; \
    lines_of(row, n, line); \
    for (int k = 0; k < last; ++k, ++c) \
    { \
      for (int l = 0; l < LINES; ++l) { ul[l] = u + line[l] + k * BS; yl[l] = y + line[l] + k * BS; } \
      CELL; \
    } \
    for (int l = 0; l < LINES; ++l)  /* the last cell of the row wraps round */ \
    { \
      memcpy(ub[l], u + line[l] + last * BS, BS * sizeof(double)); \
      memcpy(ub[l] + BS, u + line[l], BS * sizeof(double)); \
      memset(yb[l], 0, sizeof(yb[l])); \
      ul[l] = ub[l]; yl[l] = yb[l]; \
    } \
    CELL; \
    ++c; \
    for (int l = 0; l < LINES; ++l) \
      for (int m = 0; m < BS; ++m) { y[line[l] + last * BS + m] += yb[l][m]; y[line[l] + m] += yb[l][BS + m]; } \
  }

void apply(const int* n, const uint8_t* phase, const double* K, const double* u, double* y)
{
  GRID_LOOP(if (phase[c] != VOID) cell(K + (int64_t)phase[c] * ND * 8 * VECS, ul, yl))
}

#ifdef NS
#define TRI (NS * (NS + 1) / 2)
typedef float vecf __attribute__((vector_size(32)));
static const int pair[][2] = PAIRS;  /* component, strain */
#define NP ((int)(sizeof(pair) / sizeof(pair[0])))

/* lane i of the result is the sum of all lanes of a[i] */
static inline vec sums(const vec* a)
{
  vec b[4], d[2];
  for (int i = 0; i < 4; ++i)
    b[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14)
         + __builtin_shufflevector(a[2 * i], a[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  for (int i = 0; i < 2; ++i)
    d[i] = __builtin_shufflevector(b[2 * i], b[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13)
         + __builtin_shufflevector(b[2 * i], b[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  return __builtin_shufflevector(d[0], d[1], 0, 1, 2, 3, 8, 9, 10, 11)
       + __builtin_shufflevector(d[0], d[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

/* y_e += B^T C B u_e; vectors run over quadrature points */
INLINE void tangent(const double* B, const float* C, const double* const* u, double* const* y)
{
  vec f[8 * VECS];
  for (int j = 0; j < 8 * VECS; ++j) f[j] = (vec){0};
  for (int q = 0; q < QV; ++q, B += 2 * LINES * NP * 8, C += TRI * 8)
  {
    vec e[NS], s[NS];
    for (int i = 0; i < NS; ++i) e[i] = s[i] = (vec){0};
#pragma GCC unroll 4
    for (int l = 0; l < LINES; ++l)
#pragma GCC unroll 2
      for (int z = 0; z < 2; ++z)
#pragma GCC unroll 16
        for (int p = 0; p < NP; ++p)
          e[pair[p][1]] += u[l][z * BS + pair[p][0]] * *(const vec*)(B + 8 * ((2 * l + z) * NP + p));
#pragma GCC unroll 16
    for (int i = 0, t = 0; i < NS; ++i)
#pragma GCC unroll 16
      for (int j = 0; j <= i; ++j, ++t)
      {
        const vec c = __builtin_convertvector(*(const vecf*)(C + 8 * t), vec);
        s[i] += c * e[j];
        if (i != j) s[j] += c * e[i];
      }
#pragma GCC unroll 4
    for (int l = 0; l < LINES; ++l)
#pragma GCC unroll 2
      for (int z = 0; z < 2; ++z)
#pragma GCC unroll 16
        for (int p = 0; p < NP; ++p)
          f[l * RUN + z * BS + pair[p][0]] += s[pair[p][1]] * *(const vec*)(B + 8 * ((2 * l + z) * NP + p));
  }
  double out[8 * VECS] __attribute__((aligned(64)));
  for (int v = 0; v < VECS; ++v) *(vec*)(out + 8 * v) = sums(f + 8 * v);
  for (int l = 0; l < LINES; ++l)
    for (int m = 0; m < RUN; ++m) y[l][m] += out[l * RUN + m];
}

/* C runs over the solid cells only */
void apply_tangent(const int* n, const uint8_t* solid, const double* B, const float* C, const double* u, double* y)
{
  GRID_LOOP(if (solid[c]) { tangent(B, C, ul, yl); C += QV * TRI * 8; })
}
#endif

#define SYMBOL(REAL, SUFFIX) \
void symbol_real_##SUFFIX(int64_t n, const REAL* G, REAL* x) /* G symmetric, lower triangle by rows */ \
{ \
  for (int64_t f = 0; f < n; ++f, G += BS * (BS + 1) / 2, x += 2 * BS) \
  { \
    REAL z[2 * BS]; \
    for (int i = 0; i < BS; ++i) \
    { \
      REAL re = 0, im = 0; \
      for (int j = 0; j < BS; ++j) \
      { \
        const REAL g = i >= j ? G[i * (i + 1) / 2 + j] : G[j * (j + 1) / 2 + i]; \
        re += g * x[2 * j]; im += g * x[2 * j + 1]; \
      } \
      z[2 * i] = re; z[2 * i + 1] = im; \
    } \
    memcpy(x, z, sizeof(z)); \
  } \
} \
void symbol_hermitian_##SUFFIX(int64_t n, const REAL* G, REAL* x) /* G complex, full */ \
{ \
  for (int64_t f = 0; f < n; ++f, G += 2 * BS * BS, x += 2 * BS) \
  { \
    REAL z[2 * BS]; \
    for (int i = 0; i < BS; ++i) \
    { \
      REAL re = 0, im = 0; \
      for (int j = 0; j < BS; ++j) \
      { \
        const REAL *g = G + 2 * (BS * i + j), *v = x + 2 * j; \
        re += g[0] * v[0] - g[1] * v[1]; im += g[0] * v[1] + g[1] * v[0]; \
      } \
      z[2 * i] = re; z[2 * i + 1] = im; \
    } \
    memcpy(x, z, sizeof(z)); \
  } \
}
SYMBOL(double, d)
SYMBOL(float, f)

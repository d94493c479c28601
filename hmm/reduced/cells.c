/* Many reduced cells, one after the other: local fields, law, residual and, where it is due, the condensed tangent.
 *
 * A cell has x = (E, y), m inputs and N modes, and the residual
 *
 *     q = constant + K x + sum_k w_k H_k' (sigma(offset_k + H_k x) - start - C0 (offset_k + H_k x))
 *
 * with the stiffness K of the undeformed cell. Nothing that is as large as the tangents of all cubature points is
 * stored. Rows of H, K and of the tangent have `stride` = m + N numbers, rounded up to whole vectors; all arrays row by
 * row. Appended to batch.c, which calls the laws, and cells.h.
 */

#define VECTOR 8 /* numbers */
#define PANEL 48 /* rows of H that are multiplied at a time: they fit the cache */
#define NEGLIGIBLE 1e-14 /* of the elastic stress, or of the largest entry of C0 */
#define SKEW 1e-12       /* of the latter, in what makes a tangent not symmetric */

typedef double vector __attribute__((vector_size(VECTOR * sizeof(double)), aligned(sizeof(double)), may_alias));

typedef struct {
    double *x, *local, *T, *P, *Q, *rows, *out, *law, *system;
} room;

static int whole(int n) { return (n + VECTOR - 1) / VECTOR * VECTOR; }

static double largest_of(int n, const double *a) {
    double most = 0;
    for (int i = 0; i < n; i++)
        if (fabs(a[i]) > most || a[i] != a[i]) most = fabs(a[i]); /* NaN stays */
    return most;
}

static double dot(int n, const double *a, const double *b) { /* n whole vectors */
    vector sum = {0};
    double s = 0;
    for (int i = 0; i < n; i += VECTOR) sum += *(const vector *)(a + i) * *(const vector *)(b + i);
    for (int i = 0; i < VECTOR; i++) s += sum[i];
    return s;
}

static void add(int n, double factor, const double *restrict a, double *restrict to) { /* n whole vectors */
    for (int i = 0; i < n; i += VECTOR) *(vector *)(to + i) += factor * *(const vector *)(a + i);
}

static int outputs_of(const reduced_phase *p) { return p->f + p->f * p->f + p->v; }

static int greater(int a, int b) { return a > b ? a : b; }

/* Numbers of work that a cell needs; sets where its parts begin. */
static int64_t divide(const reduced_cell *cell, room *r) {
    int stride = cell->stride, rows = 0, out = 0, f = 0, law = 0;
    for (int k = 0; k < cell->phases; k++) {
        const reduced_phase *p = cell->phase + k;
        f = greater(f, p->f);
        rows = greater(rows, p->g * (p->f + p->v));
        law = greater(law, p->f + p->v + p->unknowns + p->unknowns * p->unknowns);
        out += p->g * outputs_of(p);
    }
    int sizes[9] = {stride, f * (f + 2), stride * stride, (PANEL + f) * stride, (PANEL + f) * stride,
                    rows, out, law, cell->N * (whole(cell->N) + whole(cell->m + 1))};
    double **parts[9] = {&r->x, &r->local, &r->T, &r->P, &r->Q, &r->rows, &r->out, &r->law, &r->system};
    int64_t size = 0;
    for (int i = 0; i < 9; i++) {
        *parts[i] = cell->work ? cell->work + size : 0;
        size += whole(sizes[i]);
    }
    return size;
}

int64_t reduced_room(const reduced_cell *cell) {
    room r;
    return divide(cell, &r);
}

/* Local fields and old variables of a phase, and what its law answers. */
static void answer(const reduced_cell *cell, const reduced_phase *p, const double *old, const room *r,
                   double *out) {
    int inputs = p->f + p->v, outputs = outputs_of(p);
    const double *h = p->H;
    for (int k = 0; k < p->g; k++) {
        double *row = r->rows + (int64_t)k * inputs;
        for (int a = 0; a < p->f; a++, h += cell->stride)
            row[a] = p->offset[k * p->f + a] + dot(cell->stride, h, r->x);
        memcpy(row + p->f, old + (int64_t)k * p->v, p->v * sizeof(double));
    }
    if (p->unknowns)
        implicit_points(p->law, p->equations, p->guess, p->g, inputs, p->unknowns, outputs, r->rows, p->c, p->ce, p->cg,
                        r->law, out);
    else explicit_points(p->law, p->g, inputs, outputs, r->rows, p->c, out);
}

/* Add the forces of what is not elastic to q; the largest residual that counts as zero. */
static double add_forces(const reduced_cell *cell, const reduced_phase *p, const room *r, const double *out,
                         double *q) {
    int f = p->f, inputs = f + p->v;
    double forces = 0, strains = 0, stiffest = 0;
    for (int k = 0; k < p->g; k++) {
        const double *e = r->rows + (int64_t)k * inputs, *s = out + (int64_t)k * outputs_of(p), w = p->weights[k];
        double *tau = r->local, *elastic = r->local + f;
        for (int a = 0; a < f; a++) {
            elastic[a] = p->start[a];
            for (int b = 0; b < f; b++) elastic[a] += p->C0[a * f + b] * e[b];
            tau[a] = s[a] - elastic[a];
            forces += w * s[a] * s[a];
            strains += w * e[a] * e[a];
        }
        double stiff = largest_of(f * f, s + f);
        if (stiff > stiffest || stiff != stiff) stiffest = stiff;
        if (largest_of(f, tau) <= NEGLIGIBLE * largest_of(f, elastic)) continue;
        for (int a = 0; a < f; a++) add(cell->stride, w * tau[a], p->H + ((int64_t)k * f + a) * cell->stride, q);
    }
    return p->strength * (cell->rtol * sqrt(forces) + cell->rounding * stiffest * sqrt(strains));
}

/* T += P'Q over n rows, columns from j on, of `width` vectors (1 or 2), rows i to i + VECTOR - 1. */
#define BLOCK(WIDTH)                                                                                                   \
    static void block##WIDTH(int n, int stride, const double *p, const double *q, double *t) {                        \
        vector sum[VECTOR][WIDTH] = {{{0}}};                                                                           \
        for (int k = 0; k < n; k++, p += stride, q += stride)                                                          \
            for (int i = 0; i < VECTOR; i++)                                                                           \
                for (int j = 0; j < WIDTH; j++) sum[i][j] += p[i] * *(const vector *)(q + j * VECTOR);                 \
        for (int i = 0; i < VECTOR; i++)                                                                               \
            for (int j = 0; j < WIDTH; j++) *(vector *)(t + i * stride + j * VECTOR) += sum[i][j];                     \
    }
BLOCK(1)
BLOCK(2)

/* T += P'Q over n rows; of a symmetric product only blocks on and above the diagonal. */
static void multiply(int n, int stride, int symmetric, const double *P, const double *Q, double *T) {
    for (int i = 0; i < stride; i += VECTOR) {
        int j = symmetric ? i : 0;
        for (; j + 2 * VECTOR <= stride; j += 2 * VECTOR) block2(n, stride, P + i, Q + j, T + (int64_t)i * stride + j);
        if (j < stride) block1(n, stride, P + i, Q + j, T + (int64_t)i * stride + j);
    }
}

/* D = w (C - C0); 0 if it is negligible. */
static int difference(int f, double w, const double *C, const double *C0, double scale, double *D) {
    for (int a = 0; a < f * f; a++) D[a] = C[a] - C0[a];
    if (largest_of(f * f, D) <= NEGLIGIBLE * scale) return 0;
    for (int a = 0; a < f * f; a++) D[a] *= w;
    return 1;
}

static int is_symmetric(const reduced_phase *p, const double *out) {
    int f = p->f;
    double scale = largest_of(f * f, p->C0);
    for (int k = 0; k < p->g; k++) {
        const double *C = out + (int64_t)k * outputs_of(p) + f;
        for (int a = 0; a < f; a++)
            for (int b = 0; b < a; b++)
                if (!(fabs(C[a * f + b] - C[b * f + a]) <= SKEW * scale)) return 0;
    }
    return 1;
}

/* T += sum_k w_k H_k' (C_k - C0) H_k: cubature points that are elastic cost nothing. */
static void add_tangent(const reduced_cell *cell, const reduced_phase *p, int symmetric, const room *r,
                        const double *out) {
    int f = p->f, stride = cell->stride, n = 0;
    double scale = largest_of(f * f, p->C0), *D = r->local;
    for (int k = 0; k < p->g; k++) {
        const double *h = p->H + (int64_t)k * f * stride;
        double *P = r->P + (int64_t)n * stride, *Q = r->Q + (int64_t)n * stride;
        if (!difference(f, p->weights[k], out + (int64_t)k * outputs_of(p) + f, p->C0, scale, D)) continue;
        memcpy(P, h, (size_t)f * stride * sizeof(double));
        memset(Q, 0, (size_t)f * stride * sizeof(double));
        for (int a = 0; a < f; a++)
            for (int b = 0; b < f; b++) add(stride, D[a * f + b], h + (int64_t)b * stride, Q + (int64_t)a * stride);
        n += f;
        if (n >= PANEL) multiply(n, stride, symmetric, r->P, r->Q, r->T), n = 0;
    }
    multiply(n, stride, symmetric, r->P, r->Q, r->T);
}

/* The tangent of the whole cell in T. */
static void assemble(const reduced_cell *cell, const room *r) {
    int stride = cell->stride, symmetric = 1;
    const double *out = r->out;
    for (int k = 0; k < cell->phases; k++) {
        symmetric = symmetric && is_symmetric(cell->phase + k, out);
        out += cell->phase[k].g * outputs_of(cell->phase + k);
    }
    memset(r->T, 0, (size_t)stride * stride * sizeof(double));
    out = r->out;
    for (int k = 0; k < cell->phases; k++) {
        add_tangent(cell, cell->phase + k, symmetric, r, out);
        out += cell->phase[k].g * outputs_of(cell->phase + k);
    }
    for (int i = 0; symmetric && i < stride; i++)
        for (int j = 0; j < i; j++) r->T[i * stride + j] = r->T[j * stride + i];
    add(stride * stride, 1.0, cell->K, r->T);
}

/* Solve for the right-hand sides B behind the N x N matrix, in rows of `width` numbers, by Gaussian elimination with
 * pivots; a singular matrix gives what is not a number. */
static void solve_system(int N, int width, int first, double *a) {
    for (int k = 0; k < N; k++) {
        int pivot = k, from = k / VECTOR * VECTOR;
        for (int i = k + 1; i < N; i++)
            if (fabs(a[i * width + k]) > fabs(a[pivot * width + k])) pivot = i;
        for (int j = from; pivot != k && j < width; j++) {
            double t = a[k * width + j];
            a[k * width + j] = a[pivot * width + j];
            a[pivot * width + j] = t;
        }
        for (int i = k + 1; i < N; i++) {
            double factor = a[i * width + k] / a[k * width + k];
            if (factor != 0) add(width - from, -factor, a + k * width + from, a + i * width + from);
        }
    }
    for (int i = N - 1; i >= 0; i--) {
        double *row = a + i * width + first;
        for (int k = i + 1; k < N; k++) add(width - first, -a[i * width + k], a + k * width + first, row);
        for (int j = 0; j < width - first; j++) row[j] /= a[i * width + i];
    }
}

/* Step K_yy^-1 q_y, sensitivity -K_yy^-1 K_yE, condensed tangent, and by how much q_E falls with the step. */
static void condense(const reduced_cell *cell, const room *r, const double *q, double *step, double *sensitivity,
                     double *tangent, double *drop) {
    int m = cell->m, N = cell->N, stride = cell->stride, first = whole(N), width = first + whole(m + 1);
    memset(r->system, 0, (size_t)N * width * sizeof(double));
    for (int i = 0; i < N; i++) {
        double *row = r->system + i * width;
        const double *from = r->T + (m + i) * stride;
        memcpy(row, from + m, N * sizeof(double));
        memcpy(row + first, from, m * sizeof(double));
        row[first + m] = q[m + i];
    }
    solve_system(N, width, first, r->system);
    for (int a = 0; a < m; a++) {
        memcpy(tangent + a * m, r->T + a * stride, m * sizeof(double));
        drop[a] = 0;
    }
    for (int i = 0; i < N; i++) {
        const double *solution = r->system + i * width + first;
        step[i] = solution[m];
        for (int b = 0; b < m; b++) sensitivity[i * m + b] = -solution[b];
        for (int a = 0; a < m; a++) {
            double M = r->T[a * stride + m + i];
            for (int b = 0; b < m; b++) tangent[a * m + b] -= M * solution[b];
            drop[a] += M * solution[m];
        }
    }
}

/* Forces q of x, and the largest residual that counts as zero; the answers of the laws stay in r->out. */
static double load(const reduced_cell *cell, const double *x, const double *old, const room *r, double *q) {
    int W = cell->m + cell->N;
    double small = 0, *out = r->out;
    memset(r->x, 0, cell->stride * sizeof(double));
    memcpy(r->x, x, W * sizeof(double));
    for (int i = 0; i < cell->stride; i++)
        q[i] = i < W ? cell->constant[i] + dot(cell->stride, cell->K + i * cell->stride, r->x) : 0;
    for (int k = 0; k < cell->phases; k++) {
        const reduced_phase *p = cell->phase + k;
        answer(cell, p, old, r, out);
        small += add_forces(cell, p, r, out, q);
        old += (int64_t)p->g * p->v;
        out += (int64_t)p->g * outputs_of(p);
    }
    return small;
}

/* Whether the residual is small and the response within `allowed` of what was expected, which may be no number. */
static int is_predicted(const reduced_cell *cell, const double *q, double small, const double *expected,
                        double allowed) {
    double norm = 0, miss = 0;
    for (int i = 0; i < cell->N; i++) norm += q[cell->m + i] * q[cell->m + i];
    for (int a = 0; a < cell->m; a++) miss += (q[a] - expected[a]) * (q[a] - expected[a]);
    return norm <= small * small && miss <= allowed * allowed;
}

/* Forces, q of n cells x with rows of `stride` numbers, and what counts as zero in them, to which `floor` is given.
 * Those whose response is not the expected one are condensed, and get a 1 in `condensed`. */
void reduced_answers(const reduced_cell *cell, int64_t n, const double *x, const double *old, const double *expected,
                     const double *allowed, double *q, double *small, int8_t *condensed, double *step,
                     double *sensitivity, double *tangent, double *drop) {
    int m = cell->m, N = cell->N;
    room r;
    divide(cell, &r);
    for (int64_t k = 0; k < n; k++) {
        double *of = q + k * cell->stride;
        small[k] += load(cell, x + k * (m + N), old + k * cell->history, &r, of);
        condensed[k] = !is_predicted(cell, of, small[k], expected + k * m, allowed[k]);
        if (!condensed[k]) continue;
        assemble(cell, &r);
        condense(cell, &r, of, step + k * N, sensitivity + k * N * m, tangent + k * m * m, drop + k * m);
    }
}

/* Internal variables of n cells at the end of the step. */
void reduced_updates(const reduced_cell *cell, int64_t n, const double *x, const double *old, double *now) {
    room r;
    divide(cell, &r);
    double *q = r.T;
    for (int64_t k = 0; k < n; k++) {
        load(cell, x + k * (cell->m + cell->N), old + k * cell->history, &r, q);
        const double *out = r.out;
        for (int i = 0; i < cell->phases; i++) {
            const reduced_phase *p = cell->phase + i;
            for (int j = 0; j < p->g; j++, now += p->v, out += outputs_of(p))
                memcpy(now, out + p->f + p->f * p->f, p->v * sizeof(double));
        }
    }
}

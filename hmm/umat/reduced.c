/* A hyper-reduced cell: Newton's method for its MODES unknowns y, and the laws at its cubature points.
 *
 * With x = (E, y) the residual is q(x) = constant + stiffness x + sum_k w_k H_k' (sigma(e_k) - start - C0 e_k) with the
 * fields e_k = offset_k + H_k x: the law of the undeformed state is in the stiffness. The state holds y and then the
 * internal variables at all cubature points.
 */
#define WIDTH (COMPONENTS + MODES)
#define RTOL 1e-10     /* a residual is small that is below this part of the nodal forces of the phases */
#define ROUNDING 1e-14 /* what rounding leaves of a sum of forces */
#define REDUCED_ITERATIONS 30
#define REDUCED_HALVINGS 8

/* Room to work in. */
typedef struct {
    double x[WIDTH], q[WIDTH], T[WIDTH * WIDTH], history[STATES + 1], tried[MODES + 1];
    double K[(MODES + 1) * (MODES + 1)], right[(MODES + 1) * (COMPONENTS + 1)];
    double rows[ROWS + 1], answers[ANSWERS + 1], unknowns[MOST_INPUTS + MOST + MOST * MOST];
} room;

static const double *constants_of(const function *f, double dt, double *copy) {
    memcpy(copy, f->constants, f->size * sizeof(double));
    if (f->dt_at >= 0) copy[f->dt_at] = dt;
    return copy;
}

/* Local fields at the cubature points of a phase, and what its law answers to them. */
static void call_law(const phase *p, const double *old, double dt, room *r) {
    const int f = p->fields, inputs = f + p->variables, outputs = f + f * f + p->variables;
    double c[3][CONSTANTS + 1];
    for (int k = 0; k < p->points; k++) {
        double *row = r->rows + (int64_t)k * inputs;
        for (int a = 0; a < f; a++) {
            const double *h = p->H + ((int64_t)k * f + a) * WIDTH;
            row[a] = p->offset[k * f + a];
            for (int i = 0; i < WIDTH; i++) row[a] += h[i] * r->x[i];
        }
        memcpy(row + f, old + k * p->variables, p->variables * sizeof(double));
    }
    const double *of_law = constants_of(&p->law, dt, c[0]);
    if (!p->unknowns) {
        explicit_points((uintptr_t)p->law.call, p->points, inputs, outputs, r->rows, of_law, r->answers);
        return;
    }
    implicit_points((uintptr_t)p->law.call, (uintptr_t)p->equations.call, (uintptr_t)p->guess.call, p->points, inputs,
                    p->unknowns, outputs, r->rows, of_law, constants_of(&p->equations, dt, c[1]),
                    constants_of(&p->guess, dt, c[2]), r->unknowns, r->answers);
}

/* Add w H' (C - C0) H of a cubature point to the tangent, unless the point is elastic. */
static void add_tangent(int f, double w, const double *H, const double *C, const double *C0, double *T) {
    double largest_change = 0, scale = 0;
    for (int a = 0; a < f * f; a++) {
        const double d = fabs(C[a] - C0[a]);
        if (!(d <= largest_change)) largest_change = d; /* NaN counts as large */
        if (fabs(C0[a]) > scale) scale = fabs(C0[a]);
    }
    if (largest_change <= ROUNDING * scale) return;
    for (int a = 0; a < f; a++) {
        double row[WIDTH] = {0};
        for (int b = 0; b < f; b++)
            for (int j = 0; j < WIDTH; j++) row[j] += w * (C[a * f + b] - C0[a * f + b]) * H[b * WIDTH + j];
        for (int i = 0; i < WIDTH; i++)
            for (int j = 0; j < WIDTH; j++) T[i * WIDTH + j] += H[a * WIDTH + i] * row[j];
    }
}

/* Add a phase to residual and tangent; returns the part of the residual that counts as zero. */
static double add_phase(const phase *p, room *r) {
    const int f = p->fields, inputs = f + p->variables, outputs = f + f * f + p->variables;
    double forces = 0, strains = 0, stiffest = 0;
    for (int k = 0; k < p->points; k++) {
        const double *H = p->H + (int64_t)k * f * WIDTH, w = p->weights[k];
        const double *fields = r->rows + (int64_t)k * inputs, *stress = r->answers + (int64_t)k * outputs;
        for (int a = 0; a < f; a++) {
            double inelastic = stress[a] - p->start[a];
            for (int b = 0; b < f; b++) inelastic -= p->C0[a * f + b] * fields[b];
            for (int i = 0; i < WIDTH; i++) r->q[i] += w * inelastic * H[a * WIDTH + i];
            forces += w * stress[a] * stress[a];
            strains += w * fields[a] * fields[a];
        }
        for (int a = 0; a < f * f; a++)
            if (fabs(stress[f + a]) > stiffest) stiffest = fabs(stress[f + a]);
        add_tangent(f, w, H, stress + f, p->C0, r->T);
    }
    return (RTOL * sqrt(forces) + ROUNDING * stiffest * sqrt(strains)) * p->strength;
}

/* Residual, tangent and new internal variables at r->x; returns the largest residual that counts as zero. */
static double evaluate(const double *old, double dt, room *r) {
    double size = 0, sum = 0, *history = r->history;
    for (int i = 0; i < WIDTH; i++) {
        double parts = 0;
        r->q[i] = constant[i];
        for (int j = 0; j < WIDTH; j++) {
            r->q[i] += stiffness[i * WIDTH + j] * r->x[j];
            parts += fabs(stiffness[i * WIDTH + j] * r->x[j]);
        }
        if (i >= COMPONENTS) sum += parts * parts;
    }
    memcpy(r->T, stiffness, sizeof(r->T));
    for (int n = 0; n < N_PHASES; n++) {
        const phase *p = phases + n;
        const int v = p->variables, outputs = p->fields + p->fields * p->fields + v;
        call_law(p, old, dt, r);
        size += add_phase(p, r);
        for (int k = 0; k < p->points; k++, old += v, history += v)
            memcpy(history, r->answers + (int64_t)(k + 1) * outputs - v, v * sizeof(double));
    }
    return size + ROUNDING * sqrt(sum);
}

static double norm(const room *r) {
    double sum = 0;
    for (int i = COMPONENTS; i < WIDTH; i++) sum += r->q[i] * r->q[i];
    return sqrt(sum);
}

static void swap(int n, double *a, double *b) {
    for (int i = 0; i < n; i++) {
        const double kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Solve K X = right for `columns` columns by elimination with pivots, K being that part of the tangent; 0 if singular. */
static int solve_modes(int columns, room *r) {
    double *K = r->K, *B = r->right;
    for (int i = 0; i < MODES; i++)
        memcpy(K + i * MODES, r->T + (COMPONENTS + i) * WIDTH + COMPONENTS, MODES * sizeof(double));
    for (int k = 0; k < MODES; k++) {
        int pivot = k;
        for (int i = k + 1; i < MODES; i++)
            if (fabs(K[i * MODES + k]) > fabs(K[pivot * MODES + k])) pivot = i;
        if (!(fabs(K[pivot * MODES + k]) > 0)) return 0;
        swap(MODES, K + k * MODES, K + pivot * MODES);
        swap(columns, B + k * columns, B + pivot * columns);
        for (int i = k + 1; i < MODES; i++) {
            const double factor = K[i * MODES + k] / K[k * MODES + k];
            for (int j = k; j < MODES; j++) K[i * MODES + j] -= factor * K[k * MODES + j];
            for (int j = 0; j < columns; j++) B[i * columns + j] -= factor * B[k * columns + j];
        }
    }
    for (int i = MODES - 1; i >= 0; i--)
        for (int j = 0; j < columns; j++) {
            for (int k = i + 1; k < MODES; k++) B[i * columns + j] -= K[i * MODES + k] * B[k * columns + j];
            B[i * columns + j] /= K[i * MODES + i];
        }
    return 1;
}

/* Newton's method with halved steps from the unknowns in r->x; 1 if it has converged. */
static int newton(const double *old, double dt, room *r) {
    double *y = r->x + COMPONENTS, size = evaluate(old, dt, r);
    for (int k = 0; k < REDUCED_ITERATIONS && isfinite(norm(r)) && norm(r) > size; k++) {
        const double before = norm(r);
        double length = 1;
        memcpy(r->right, r->q + COMPONENTS, MODES * sizeof(double));
        memcpy(r->tried, y, MODES * sizeof(double));
        if (!solve_modes(1, r)) return 0;
        for (int halving = 0; halving <= REDUCED_HALVINGS; halving++, length /= 2) {
            for (int i = 0; i < MODES; i++) y[i] = r->tried[i] - length * r->right[i];
            size = evaluate(old, dt, r);
            if (norm(r) <= (1 - 1e-4 * length) * before || norm(r) <= size) break;
        }
    }
    return norm(r) <= size;
}

/* Stress and condensed tangent, D - M K^-1 L, of the converged cell; 0 if its tangent is singular. */
static int condense(room *r, double *response, double *tangent) {
    for (int i = 0; i < MODES; i++)
        for (int j = 0; j < COMPONENTS; j++) r->right[i * COMPONENTS + j] = r->T[(COMPONENTS + i) * WIDTH + j];
    if (!solve_modes(COMPONENTS, r)) return 0;
    for (int i = 0; i < COMPONENTS; i++) {
        response[i] = r->q[i] / VOLUME;
        for (int j = 0; j < COMPONENTS; j++) {
            double found = r->T[i * WIDTH + j];
            for (int k = 0; k < MODES; k++) found -= r->T[i * WIDTH + COMPONENTS + k] * r->right[k * COMPONENTS + j];
            tangent[i * COMPONENTS + j] = found / VOLUME;
        }
    }
    return 1;
}

/* From the last unknowns with the elastic move for the increment, then without. */
static const char *answer(const double *E, const double *dE, const double *old, double dt, double *state,
                          double *response, double *tangent) {
    room *r = malloc(sizeof(room));
    int found = 0;
    if (!r) return "there is no memory";
    for (int elastic = 1; elastic >= 0 && !found; elastic--) {
        memcpy(r->x, E, COMPONENTS * sizeof(double));
        for (int i = 0; i < MODES; i++) {
            r->x[COMPONENTS + i] = old[i];
            for (int j = 0; elastic && j < COMPONENTS; j++)
                r->x[COMPONENTS + i] += sensitivity[i * COMPONENTS + j] * dE[j];
        }
        found = newton(old + MODES, dt, r) && condense(r, response, tangent);
    }
    memcpy(state, r->x + COMPONENTS, MODES * sizeof(double));
    memcpy(state + MODES, r->history, (STATES - MODES) * sizeof(double));
    free(r);
    return found ? 0 : "the reduced cell did not converge";
}

/* A table: tensor-product splines over AXES axes, NUMBERS numbers at each place (de Boor 1978, ch. 10 and 17). */

/* Values and slopes of the degree + 1 splines of an axis that are not zero at x; returns the number of the first. */
static int splines(int axis, double x, double *value, double *slope) {
    const double *t = knots + knots_at[axis];
    const int d = degree[axis];
    int i = d;
    while (i < count[axis] - 1 && t[i + 1] <= x) i++;
    memset(value, 0, (d + 1) * sizeof(double));
    value[0] = 1;
    for (int k = 1; k <= d; k++) { /* of degree k - 1 to degree k */
        double kept = 0, steep = 0;
        for (int j = 0; j < k; j++) {
            const double left = t[i + j + 1 - k], right = t[i + j + 1], part = value[j] / (right - left);
            value[j] = kept + (right - x) * part;
            slope[j] = steep - k * part;
            kept = (x - left) * part;
            steep = k * part;
        }
        value[k] = kept;
        slope[k] = steep;
    }
    return i - d;
}

/* The numbers at x, and their derivatives by each axis behind them, (AXES + 1) * NUMBERS in all. */
static void interpolate(const double *x, double *found) {
    double value[AXES][4], slope[AXES][4];
    int first[AXES], at[AXES] = {0};
    for (int a = 0; a < AXES; a++) first[a] = splines(a, x[a], value[a], slope[a]);
    memset(found, 0, (AXES + 1) * NUMBERS * sizeof(double));
    for (int a = 0; a < AXES;) {
        int64_t place = 0;
        for (int b = 0; b < AXES; b++) place = place * count[b] + first[b] + at[b];
        for (int by = 0; by <= AXES; by++) { /* the value, then the derivative by axis by - 1 */
            double factor = 1;
            for (int b = 0; b < AXES; b++) factor *= b == by - 1 ? slope[b][at[b]] : value[b][at[b]];
            for (int n = 0; n < NUMBERS; n++) found[by * NUMBERS + n] += factor * coefficients[place * NUMBERS + n];
        }
        for (a = 0; a < AXES && ++at[a] > degree[a]; a++) at[a] = 0; /* the next combination, or the end */
    }
}

/* Keep x in the table: 0 if it is outside where that is an error, else `frozen` says where it was clamped. */
static int keep_inside(double *x, int *frozen) {
    for (int a = 0; a < AXES; a++) {
        const double slack = 1e-12 * (highest[a] - lowest[a]);
        const int out = !(x[a] >= lowest[a] - slack && x[a] <= highest[a] + slack);
        if (out && OUTSIDE == ERROR) return 0;
        frozen[a] = out && OUTSIDE == CLAMP;
        if (frozen[a]) x[a] = x[a] < lowest[a] ? lowest[a] : highest[a];
    }
    return 1;
}

/* What numbers say of the response: themselves, or a start and a stiffness. */
static double respond(const double *numbers, const double *E, int i) {
    double found = numbers[i];
    if (LINEAR)
        for (int j = 0; j < COMPONENTS; j++) found += numbers[(1 + i) * COMPONENTS + j] * (E[j] - reference[j]);
    return found;
}

static const char *answer(const double *E, const double *dE, const double *old, double dt, double *state,
                          double *response, double *tangent) {
    double x[AXES], found[(AXES + 1) * NUMBERS];
    int frozen[AXES];
    for (int a = 0; a < AXES; a++) x[a] = a < PARAMETERS ? E[COMPONENTS + a] : E[a - PARAMETERS];
    if (!keep_inside(x, frozen)) return "the strain or a parameter is outside the table";
    interpolate(x, found);
    for (int i = 0; i < COMPONENTS; i++) {
        double *row = tangent + i * (COMPONENTS + PARAMETERS);
        response[i] = respond(found, E, i);
        if (LINEAR) memcpy(row, found + (1 + i) * COMPONENTS, COMPONENTS * sizeof(double));
        for (int a = 0; a < AXES; a++)
            row[a < PARAMETERS ? COMPONENTS + a : a - PARAMETERS] =
                frozen[a] ? 0 : respond(found + (a + 1) * NUMBERS, E, i);
    }
    return 0;
}

/* The interface of Abaqus: strains and stresses in Voigt's notation with engineering shear strains, here in Mandel's.
 *
 * A model gives answer(E, dE, old, dt, state, response, tangent): from the strain and then the parameters at the end of
 * the increment, and the increment of the strain, to the stress and its derivatives by the strain and the parameters,
 * row by row. It returns 0, or why it has no answer.
 */
#define INPUTS (COMPONENTS + PARAMETERS)

static void stop(const char *what, int given, int needed) {
    fprintf(stderr, "UMAT of hmm: %s is %d, and this model needs %d\n", what, given, needed);
    exit(EXIT_FAILURE);
}

/* The parameters: the temperature where the model has one, and the others from PROPS in their order. */
static void read_parameters(double temperature, const double *props, double *parameters) {
    for (int k = 0; k < PARAMETERS; k++) parameters[k] = k == TEMPERATURE ? temperature : *props++;
}

void umat_(double *stress, double *statev, double *ddsdde, double *sse, double *spd, double *scd, double *rpl,
           double *ddsddt, double *drplde, double *drpldt, const double *stran, const double *dstran,
           const double *time, const double *dtime, const double *temp, const double *dtemp, const double *predef,
           const double *dpred, const char *cmname, const int *ndi, const int *nshr, const int *ntens,
           const int *nstatv, const double *props, const int *nprops, const double *coords, const double *drot,
           double *pnewdt, const double *celent, const double *dfgrd0, const double *dfgrd1, const int *noel,
           const int *npt, const int *layer, const int *kspt, const int *kstep, const int *kinc) {
    double E[INPUTS], dE[COMPONENTS], response[COMPONENTS], tangent[COMPONENTS * INPUTS], state[STATES + 1];
    const int constants = PARAMETERS - (TEMPERATURE >= 0);
    if (*ntens != COMPONENTS) stop("NTENS", *ntens, COMPONENTS);
    if (*nstatv < STATES) stop("NSTATV (*DEPVAR)", *nstatv, STATES);
    if (*nprops < constants) stop("NPROPS (*USER MATERIAL, CONSTANTS=)", *nprops, constants);
    for (int i = 0; i < COMPONENTS; i++) {
        E[i] = (stran[i] + dstran[i]) * voigt[i];
        dE[i] = dstran[i] * voigt[i];
    }
    read_parameters(*temp + *dtemp, props, E + COMPONENTS);
    const char *why = answer(E, dE, statev, *dtime, state, response, tangent);
    if (why) {
        static int told;
        if (!told++)
            fprintf(stderr, "UMAT of hmm, element %d, point %d: %s; a smaller increment is asked for\n", *noel, *npt, why);
        *pnewdt = 0.5;
        return;
    }
    memcpy(statev, state, STATES * sizeof(double));
    for (int i = 0; i < COMPONENTS; i++) {
        const double *row = tangent + i * INPUTS, before = stress[i];
        stress[i] = response[i] * voigt[i];
        if (!STATES) *sse += (before + stress[i]) / 2 * dstran[i]; /* the work is stored: by the trapezoidal rule */
        for (int j = 0; j < COMPONENTS; j++) ddsdde[j * COMPONENTS + i] = row[j] * voigt[i] * voigt[j];
        if (TEMPERATURE >= 0) ddsddt[i] = row[COMPONENTS + TEMPERATURE] * voigt[i];
    }
}

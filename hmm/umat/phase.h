/* A C function of a law with its constants, among them the duration of the step, unless its place is -1. */
typedef struct { kernel call; const double *constants; int size, dt_at; } function;

typedef struct {
    int points, fields, variables, unknowns;
    function law, equations, guess;
    const double *weights, *offset, *H, *C0, *start; /* the law of the undeformed state: start + C0 fields */
    double strength; /* how strongly stresses of unit mean square may push the modes */
} phase;

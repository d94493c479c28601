"""Job files for `hmm run`: small bodies of one material, whose answers are known."""

import math

CELL = """
[{material}.cell]
generator = "fibre"
volume_fraction = 0.3
mesh_size = 0.5
"""

ELASTIC = (
    CELL
    + """
[{material}.phases."*"]
young = 1000.0
poisson = 0.25
"""
)

RECTANGLE = """
[mesh]
rectangle = [2.0, 1.0]
elements = [2, 1]
"""

ROLLERS = """
[[support]]
group = "left"
ux = 0
[[support]]
group = "bottom"
uy = 0
"""

END = """
[time]
steps = 2
[output]
format = "none"
report = false
"""


def elastic(material="material"):
    return ELASTIC.format(material=material)


def job(formulation, mesh, material, supports, rest=""):
    return f'formulation = "{formulation}"\n{rest}\n{mesh}{material}{supports}{END}'


PULL = ROLLERS + '[[support]]\ngroup = "right"\nux = "0.02 * t"\n'
"""A strain of 1 % along x of the rectangle."""

YOUNG, POISSON = 1000.0, 0.25

BOX = '[mesh]\nbox = [1.0, 1.0, 1.0]\nelements = [1, 1, 1]\nelement = "hexahedron"\n'

ROLLERS_3D = ROLLERS.replace("bottom", "front") + '[[support]]\ngroup = "bottom"\nuz = 0\n'

CYLINDER = """
[mesh]
rectangle = [2.0, 1.0]
elements = [2, 1]
element = "quadrilateral"
"""

HEAT = CELL.format(material="material") + '[material.phases."*"]\nconductivity = 3.0\n'

THERMAL = (
    CELL.format(material="material")
    + """
[material.phases."*"]
young = 1000.0
poisson = 0.25
expansion = 1e-4
conductivity = 2.0
reference_temperature = 300.0
"""
)

NEO = (
    CELL.format(material="material") + '[material.phases."*"]\nlaw = "NeoHooke.from_moduli"\nshear = 1.0\nbulk = 10.0\n'
)

WARM = """
[[support]]
group = "top"
uy = 0
[[support]]
group = "right"
ux = 0
temperature = "300 + 50 * t"
[[support]]
group = "left"
temperature = 300
"""

JOBS = {
    "plane strain": (
        job("plane strain", RECTANGLE, elastic(), PULL),
        {"reaction of right ux": YOUNG / (1 - POISSON**2) * 0.01},
    ),
    "plane stress": (job("plane stress", RECTANGLE, elastic(), PULL), {"reaction of right ux": YOUNG * 0.01}),
    "3D": (
        job(
            "3D",
            BOX,
            elastic().replace("mesh_size = 0.5", "mesh_size = 0.5\nextrude = 0.5"),
            ROLLERS_3D + '[[support]]\ngroup = "right"\nux = "0.01 * t"\n',
        ),
        {"reaction of right ux": YOUNG * 0.01},
    ),
    "axisymmetric": (
        job(
            "axisymmetric",
            CYLINDER,
            elastic(),
            '[[support]]\ngroup = "bottom"\nuz = 0\n[[support]]\ngroup = "top"\nuz = "0.01 * t"\n',
        ),
        {"reaction of top uz": YOUNG * 0.01 * math.pi * 2.0**2},
    ),
    "finite strain": (
        job(
            "finite strain",
            RECTANGLE,
            NEO,
            ROLLERS + '[[support]]\ngroup = "top"\nuy = 0\n[[support]]\ngroup = "right"\nux = "0.8 * t"\n',
        ),
        {},
    ),
    "heat": (
        job(
            "heat",
            RECTANGLE,
            HEAT,
            '[[support]]\ngroup = "left"\ntemperature = 0\n[[support]]\ngroup = "right"\ntemperature = "10 * t"\n',
        ),
        {"reaction of right temperature": 3.0 * 10 / 2.0},
    ),
    "thermo-mechanics": (
        job(
            "thermo-mechanics",
            RECTANGLE,
            THERMAL,
            ROLLERS + WARM,
        ),
        {
            "reaction of right ux": -YOUNG * 1e-4 * 25 / (1 - 2 * POISSON),
            "reaction of right temperature": 2.0 * 50 / 2.0,
        },
    ),
}
"""For each formulation a job, and the last values of its curve that are known in closed form."""

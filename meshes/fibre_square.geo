// A square cell of edge 1 with one round fibre of volume fraction 0.3 at its centre.
//
//   gmsh -2 meshes/fibre_square.geo -format msh41 -o meshes/fibre_square.msh
//
// Change the three numbers, or set them on the command line: gmsh -2 fibre_square.geo -setnumber fraction 0.5
SetFactory("OpenCASCADE");

DefineConstant[ fraction = 0.3, size = 1, mesh_size = 0.08 ];
radius = size * Sqrt(fraction / Pi);  // the straight edges of the mesh leave out a little: 0.297 of the cell is fibre

Rectangle(1) = {0, 0, 0, size, size};
Disk(2) = {size / 2, size / 2, 0, radius};
pieces[] = BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; };  // the disc keeps tag 2, the rest is 3

// Rule 1: every phase is a physical group of the highest dimension, and every surface is in exactly one of them.
Physical Surface("matrix") = {3};
Physical Surface("fibre") = {2};

// Rule 2: each face is the translated copy of the opposite one. The faces are found by where they are.
e = 1e-6 * size;
left[] = Curve In BoundingBox{-e, -e, -e, e, size + e, e};
right[] = Curve In BoundingBox{size - e, -e, -e, size + e, size + e, e};
bottom[] = Curve In BoundingBox{-e, -e, -e, size + e, e, e};
top[] = Curve In BoundingBox{-e, size - e, -e, size + e, size + e, e};
Periodic Curve {right[]} = {left[]} Translate {size, 0, 0};
Periodic Curve {top[]} = {bottom[]} Translate {0, size, 0};

Mesh.MeshSizeMin = mesh_size;
Mesh.MeshSizeMax = mesh_size;

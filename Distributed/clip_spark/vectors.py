"""Matrices from columns of vectors, and cosines whose last bit depends on nothing but the vectors.

Products in float32 find candidates; what a user sees is computed in float64 and rounded. This
module needs NumPy and pyarrow.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def matrix(column, dimension=None):
    """Returns the places of the rows that have a vector, and the vectors [rows, dimension].

    - column: an Arrow array of lists of numbers, of fixed or variable size, with nulls.
    - dimension: the expected number of dimensions; None accepts that of the first row.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    places = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    if len(places) < len(column):
        column = column.take(pa.array(places))
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    if len(places) == 0:
        return places, np.zeros((0, dimension or 0), np.float32)
    lengths = pc.list_value_length(column)
    dimension = dimension or lengths[0].as_py()
    different = pc.unique(lengths).to_pylist()
    if different != [dimension]:
        raise ValueError(f"expected vectors of {dimension} dimensions, found {different}")
    return places, values.reshape(-1, dimension)


def unit(rows):
    """Returns rows divided by their L2 norms in float32; a row of zeros stays as it is."""
    norms = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1, keepdims=True))
    return (rows / np.where(norms == 0, 1, norms)).astype(np.float32)


def margin(dimension):
    """Returns a bound of the error of a float32 dot product of two unit vectors."""
    return 2 * dimension * 2.0 ** -24 + 1e-6


def exact_cosines(a, b):
    """Returns the cosines of the rows of a and b, pair by pair, computed in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return ((a * b).sum(axis=1) / np.where(norms == 0, 1, norms)).astype(np.float32)

"""Eigenvalues by SciPy's LAPACK, called so that other threads can go on meanwhile.

NumPy's and SciPy's own functions for it hold the interpreter's lock, so that decompositions in several threads wait for
one another; torch's does not, but takes a third longer where torch is built with MKL (order 500, one thread).
"""

import ctypes
from typing import Any

import numpy as np
from scipy.linalg import cython_lapack


def _routine(name: str, n_arguments: int) -> Any:
    """A LAPACK routine from SciPy's Cython interface; every argument is a pointer, as in Fortran."""
    capsule = ctypes.py_object(cython_lapack.__pyx_capi__[name])
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetPointer.restype = ctypes.c_char_p, ctypes.c_void_p
    address = api.PyCapsule_GetPointer(capsule, ctypes.c_char_p(api.PyCapsule_GetName(capsule)))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(address)


_dsyevd = _routine("dsyevd", 11)
_BLOCK = 64  # columns that LAPACK reduces at a time; more workspace than that is of no use


def symmetric_eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """Eigenvalues of a symmetric float64 matrix (n x n), smallest first; the matrix is overwritten.

    Raises ``numpy.linalg.LinAlgError`` if they do not converge, as LAPACK's dsyevd says.
    """
    n = len(matrix)
    if matrix.shape != (n, n) or matrix.dtype != np.float64 or not matrix.flags.c_contiguous:
        raise ValueError(f"a square float64 matrix in one block is needed, not {matrix.dtype} {matrix.shape}")
    values, work, iwork = np.empty(n), np.empty(max(1, (_BLOCK + 2) * n + 1)), np.empty(1, dtype=np.int32)
    order, n_work, n_iwork, info = (ctypes.c_int(number) for number in (n, len(work), 1, 0))
    arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (matrix, values, work, iwork)]
    _dsyevd(
        *(ctypes.byref(ctypes.c_char(flag)) for flag in (b"N", b"L")),
        *(ctypes.byref(order), arrays[0], ctypes.byref(order), arrays[1]),
        *(arrays[2], ctypes.byref(n_work), arrays[3], ctypes.byref(n_iwork), ctypes.byref(info)),
    )
    if info.value:
        raise np.linalg.LinAlgError(f"the eigenvalues of a matrix of order {n} do not converge (dsyevd: {info.value})")
    return values

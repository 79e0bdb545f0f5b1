"""What a model takes is told although it is put where another one was."""

from __future__ import annotations

import ctypes

import pytest

from penstock.server.loading.process_memory import Growth, trim_memory

SIZE = 24 << 20


def test_growth_is_what_is_allocated_though_nobody_has_touched_it() -> None:
    growth = Growth()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    place = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(SIZE)))
    try:
        if not hasattr(libc, "mallinfo2"):
            pytest.skip("only glibc tells")
        assert SIZE <= growth.bytes() < SIZE + (8 << 20)
    finally:
        libc.free(place)
    assert growth.bytes() < SIZE


def test_giving_memory_back_is_safe_at_any_time() -> None:
    trim_memory()
    trim_memory()

"""Coalescing, and the caches of request heads and bodies.

The rest of the server sees two objects: `head_cache.HeadCache` and `coalescer.Coalescer`.

    Coalescer.try_take  put a request into its group                 (fast path)
    Coalescer.read      read a body by its template                  (both front ends)
    Coalescer.learn     learn a template from an answer with 200
    Coalescer.flush     serve the requests that have waited
    Coalescer.forget    empty all caches

With the option ``request_caching`` off there is no `Coalescer`, the `HeadCache` stays empty, and
each request is read by the full parser and decoder.
"""

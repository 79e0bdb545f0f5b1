"""Like requests are read and run together: everything that is remembered of requests is here.

The rest of the server sees two objects: `head_cache.HeadCache` and `coalescer.Coalescer`.

    Coalescer.try_take  let a request wait for others like it        (fast path)
    Coalescer.read      read a body by its template                  (both front ends)
    Coalescer.learn     remember what was answered with 200
    Coalescer.flush     serve what has waited
    Coalescer.forget    remember nothing any more

With the option ``request_caching`` off there is no `Coalescer`, the `HeadCache` stays empty, and
each request is read by the full parser and decoder.
"""

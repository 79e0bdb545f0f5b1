"""Like requests are read and run together: everything that is remembered of requests is here.

The rest of the server sees two objects: `head_cache.HeadCache` and `coalescer.Coalescer`. With the
option ``request_caching`` off there is no `Coalescer`, the `HeadCache` stays empty, and each
request is read by the full parser and decoder.
"""

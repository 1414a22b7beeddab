"""Mappings: how a raw event of any vocabulary becomes player events.

A mapping file is read by `document.py` into the model of `model.py`, compiled once by `compiling.py`, and applied to each record by
`mapped.py`. Expressions are JMESPath (`expressions.py`).
"""

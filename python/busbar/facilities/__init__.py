"""What hangs on ``self`` of a service and is plain Python: one module for each attribute.

A class here takes the service and is made the first time that the attribute is asked for. The list that says which
attribute is which class is beside the other attributes, in ``server/python/src/service/instance.rs``.
"""

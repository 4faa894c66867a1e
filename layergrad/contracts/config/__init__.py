"""The configuration: one pydantic model for every YAML file.

A study file (``study``) names its models and tasks; each has a file of its own, ``models/<model>.yaml`` (``models``)
and ``tasks/<task>.yaml`` (``tasks``), beside the study file, and templates lie in ``templates/`` there. Both name where
things come from (``sources``).
"""
